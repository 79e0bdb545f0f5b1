"""Messages between the shadow process and its runner.

| kind | from | content |
|---|---|---|
| `ORDER` | shadow process, or control for a replay | a packed `Order` |
| `BATCHES` | shadow process | content of an envelope |
| `READY` | runner | both versions are loaded |
| `REFUSED` | runner | the reason why the candidate cannot be loaded |
| `REPORT` | runner | packed: what came of one batch, one for each; or of the replay |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

ORDER: Final = 1
BATCHES: Final = 2
READY: Final = 11
REFUSED: Final = 12
REPORT: Final = 13


@dataclass(frozen=True, slots=True)
class Order:
    """An order to a runner.

    Attributes:
        config: Path of the server's configuration, as JSON.
        target: A target with the one plan whose mirror is meant, encoded.
        replay: Requests that the candidate is to compute again, and nothing else: the fields of
            `penstock.server.shadow.replay.Replay`; ``None`` to compare batches.
    """

    config: str
    target: bytes
    replay: dict[str, Any] | None = None
