"""When a call to a child process takes too long. Pure."""

from __future__ import annotations

from typing import Final

#: Of the time between two looks, so much counts at most: the machine may have been suspended.
MOST_SECONDS: Final = 1.0
#: The time that a process waits for a processor does not count, but no call may take longer than so
#: many times its limit, and a start of the process.
_MOST_TIMES: Final = 5.0
_START_SECONDS: Final = 60.0


def stuck(elapsed: float, waited: float, limit: float) -> bool:
    """Whether a call takes too long. What its process waited for a processor does not count.

    Args:
        elapsed: Seconds since the call began.
        waited: Of those, the seconds in which the process could have run and others did.
        limit: Limit of the remaining seconds.
    """
    return elapsed - waited > limit or elapsed > _MOST_TIMES * limit + _START_SECONDS
