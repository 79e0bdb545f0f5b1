"""Decides when a process that died is started again. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Exit status of a process that can never start, however often (sysexits.h, EX_CONFIG).
EXIT_CONFIG: Final = 78
#: A life this long counts as a success: the next death starts from zero again.
HEALTHY_SECONDS: Final = 10.0
FIRST_DELAY_SECONDS: Final = 0.25
SOME_DELAY_SECONDS: Final = 30.0
#: After so many short runs in a row, which take some minutes, the process is not started again.
FORGIVING_SECONDS: Final = 16
MAX_DELAY_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class Restart:
    """The decision about one death.

    Attributes:
        failures: Short runs in a row, this one included.
        at: Time of the next start.
    """

    failures: int
    at: float


def after_death(failures: int, started_at: float, now: float) -> Restart:
    """Decide when to start a process again.

    The first death is answered at once, so that a killed process is back within moments; one that
    dies again and again waits twice as long each time, up to half a minute; in the end it is tried
    every five minutes, so that what it logs each time does not fill a disk.

    Args:
        failures: Short runs in a row before this one.
        started_at: Begin of the life that just ended.
        now: Its end.
    """
    if now - started_at >= HEALTHY_SECONDS:
        failures = 0
    delay = FIRST_DELAY_SECONDS * 2 ** min(failures - 1, 16) if failures else 0.0
    most = SOME_DELAY_SECONDS if failures < FORGIVING_SECONDS else MAX_DELAY_SECONDS
    return Restart(failures + 1, now + min(delay, most))
