"""Pauses the event loop while all execution threads run, so that more requests are read at once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from .policy import ACTIVE_SECONDS

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from .executor import Executor
    from .scheduler_state import SchedulerState

#: Longest pause of a loop that has no core of its own.
LONGEST_PAUSE_SECONDS: Final = 1.5e-3
#: Longest pause as a part of the least tolerable delay of any model.
PAUSE_PART: Final = 1 / 16


class LoopPause:
    """Blocks the event loop for a moment while nothing that it could read would be started.

    Where the loop has no core of its own, every look interrupts a run and finds cold caches: one
    request then costs as much as several that are read together. A run that ends wakes the loop.

    Args:
        loop: What is blocked.
        state: What waits and runs.
        clock: Monotonic seconds.
        executor: Knows when a run ends.
        longest: Seconds at most; 0 for never.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        state: SchedulerState,
        clock: Callable[[], float],
        executor: Executor,
        longest: float,
    ) -> None:
        self._loop = loop
        self._state = state
        self._clock = clock
        self._executor = executor
        self._longest = longest
        self._planned = False

    def consider(self, read_at: float) -> None:
        """Plan a pause if all execution threads run; called when no more runs can be started.

        Args:
            read_at: When the loop had read all available requests.
        """
        state = self._state
        if state.free or not self._longest:
            state.blind_since = state.read_since = math.inf
            return
        state.update_arrivals(min(state.blind_since, read_at))
        if not self._planned:
            self._planned = True
            self._loop.call_soon(self._take)  # after the answers of this iteration are written

    def _take(self) -> None:
        self._planned = False
        state = self._state
        now = self._clock()
        seconds = pause_seconds(state, self._longest, now)
        if seconds:
            state.update_arrivals(now)
            self._executor.wait(seconds)


def pause_seconds(state: SchedulerState, longest: float, now: float) -> float:
    """How long the loop may pause now; pure.

    0 while a model with runs short enough for the loop is in use: its runs need no free thread.

    Args:
        state: The waiting and running work.
        longest: Longest pause; the pause is also at most a small part of the least tolerable delay.
        now: The present time.
    """
    if state.free or now - state.inlined_at <= ACTIVE_SECONDS:
        return 0.0
    return min(longest, PAUSE_PART * state.least_tolerable_delay)
