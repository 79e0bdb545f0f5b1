"""Limits beyond which a candidate in the shadow is given up, for a moment or for good. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from penstock.server.isolation.limits import Death

#: Seconds that a batch may take, or so many times the seconds of the primary.
RUN_SECONDS: Final = 10.0
RUN_FACTOR: Final = 20.0
#: Seconds that loading, checking and warming up both versions may take.
LOAD_SECONDS: Final = 600.0
#: A runner may grow to this many times its memory after the load, and by so many bytes more.
GROWTH_FACTOR: Final = 2.0
GROWTH_BYTES: Final = 512 << 20
#: Ends of the runner that nobody asked for: in a row, and altogether.
MAX_FAILURES: Final = 3
MAX_DEATHS: Final = 10


@dataclass(frozen=True, slots=True)
class HardFailure:
    """The reason why a candidate is not run any more.

    Attributes:
        reason: ``load``, ``crash``, ``hang`` or ``memory``.
        detail: For people.
        at: Unix seconds.
    """

    reason: str
    detail: str
    at: float


def run_limit(primary_seconds: float) -> float:
    """Seconds that the candidate may take for a batch that took the primary so many seconds."""
    return max(RUN_SECONDS, RUN_FACTOR * primary_seconds)


def leaks(resident: int, loaded: int) -> bool:
    """True if a runner takes too many bytes of memory, given its bytes after the load."""
    return resident > loaded * GROWTH_FACTOR + GROWTH_BYTES


def verdict(death: Death, failures: int, deaths: int, now: float) -> HardFailure | None:
    """The decision after the death of a runner: whether the candidate is given up.

    Args:
        death: The latest.
        failures: Short runs in a row, this one included.
        deaths: All, this one included.
        now: Unix seconds.
    """
    if failures >= MAX_FAILURES:
        how = f"{failures} times in a row"
    elif deaths >= MAX_DEATHS:
        how = f"{deaths} times"
    else:
        return None
    return HardFailure(death.reason, f"{death.detail}; it ended {how}", now)
