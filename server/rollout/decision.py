"""What to do about a rollout at one moment. Pure: (rollout, snapshot, now) to a decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .phase import Event
    from .rollout import Rollout


@dataclass(frozen=True, slots=True)
class Decision:
    """What came of a look at a rollout.

    Attributes:
        rollout: As it is now, the new counts included; goes into the next look.
        event: What moved it; ``None`` if it stays where it is. A move is put on disk and on record
            before workers are told.
        cause: A short code for what is waited for, or for why it moved.
        message: The same for people.
        e_values: By part, the evidence against the candidate as of now.
        e_value: All parts together; the controller aborts at 1 / alpha.
        save: Whether it should be written to disk even if nothing moved, so that a restart of the
            whole server loses little evidence. At most every few seconds.
    """

    rollout: Rollout
    event: Event | None
    cause: str
    message: str
    e_values: Mapping[str, float]
    e_value: float
    save: bool
