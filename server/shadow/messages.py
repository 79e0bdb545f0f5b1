"""What the shadow process and its runner say to each other, as frames.

| kind | from | content |
|---|---|---|
| `order` | shadow process, or control for a replay | `config`, `target`, `replay`: see `Order` |
| `batches` | shadow process | `content`: of an envelope |
| `ready` | runner | both versions are loaded |
| `refused` | runner | `reason`: the candidate cannot be loaded |
| `report` | runner | `report`: what came of one batch, one for each; or of the replay |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Order:
    """What a runner shall do.

    Attributes:
        config: Path of the server's configuration, as JSON.
        target: A target with the one plan whose mirror is meant, encoded.
        replay: What the candidate is to compute again, and nothing else: the fields of
            `penstock.server.shadow.replay.Replay`; ``None`` to compare batches.
    """

    config: str
    target: bytes
    replay: dict[str, Any] | None = None
