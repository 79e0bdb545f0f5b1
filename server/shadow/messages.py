"""What the shadow process and its runner say to each other, as frames.

| kind | from | content |
|---|---|---|
| `order` | shadow process | `config`, `target`: see `Order` |
| `batches` | shadow process | `content`: of an envelope |
| `ready` | runner | both versions are loaded |
| `refused` | runner | `reason`: the candidate cannot be loaded |
| `report` | runner | `report`: what came of one batch; there is one for each |
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Order:
    """What a runner shall do.

    Attributes:
        config: Path of the server's configuration, as JSON.
        target: A target with the one plan whose mirror is meant, encoded.
    """

    config: str
    target: bytes
