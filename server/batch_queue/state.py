"""The states of a batch job of the server, and when a job that broke off is tried again. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class State(StrEnum):
    """How far a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


#: A job leaves these by itself or by command; all others are ends.
OPEN: Final = frozenset({State.QUEUED, State.RUNNING})
#: A job that breaks off so often without a new row on disk has failed.
MOST_ATTEMPTS: Final = 12
_FIRST_PAUSE_SECONDS: Final = 2.0
_LONGEST_PAUSE_SECONDS: Final = 600.0


def pause_after(attempts: int) -> float | None:
    """Seconds until a job that broke off is tried again; ``None`` for not at all.

    Args:
        attempts: How often in a row it broke off without a new row on disk, at least 1.
    """
    if attempts >= MOST_ATTEMPTS:
        return None
    pause: float = _FIRST_PAUSE_SECONDS * 2.0 ** (attempts - 1)
    return min(pause, _LONGEST_PAUSE_SECONDS)
