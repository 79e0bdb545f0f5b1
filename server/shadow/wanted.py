"""What the target on disk wants of the shadow process.

The target is taken as it is packed: the types that it stands for bring numpy, and the process that
only starts and counts stays small without.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import msgpack

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Wanted:
    """One candidate to run.

    Attributes:
        rollout: Id of the rollout that it is for.
        model: Its name.
        primary: The version that answers; ``None`` if nobody does.
        candidate: The version to run.
        packed: The plan of the model as the target has it.
    """

    rollout: str
    model: str
    primary: int | None
    candidate: int
    packed: dict[str, Any]

    @property
    def target(self) -> bytes:
        """A target with this plan alone, encoded."""
        return cast("bytes", msgpack.packb({"number": 1, "models": [self.packed]}))

    @property
    def essence(self) -> tuple[Any, ...]:
        """What a runner depends on; it starts anew when that changes."""
        packed = self.packed
        home = packed["versions"].get(self.primary)
        return (
            *(self.model, self.primary, home, self.candidate, packed["mirror"]["directory"]),
            *(packed["config"], packed["accepted"]),
        )


def read_wanted(path: Path) -> dict[str, Wanted]:
    """What is wanted, by rollout."""
    content = msgpack.unpackb(path.read_bytes(), strict_map_key=False)
    found = {}
    for packed in content["models"]:
        mirror = packed.get("mirror")
        if mirror is not None:
            rollout = mirror["rollout"]
            found[rollout] = Wanted(
                rollout, packed["name"], packed["default"], mirror["candidate"], packed
            )
    return found
