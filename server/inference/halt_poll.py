"""Stay awake for a moment when the next request is expected within it.

A core that sleeps between two requests runs the next one several times slower: it has to be
woken, on a virtual machine by its host, and finds caches and branch predictors cold. Hypervisors
know the remedy as halt polling: after work, look for more for about as long as it took lately
to come, and sleep only then. With one connection 5.2 thousand requests a second became 7.4,
for 150 and 133 us of CPU time each, the looking included.

When requests come seldom the expected gap is longer than `LONGEST_SECONDS` and nothing is polled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

#: A longer gap is slept through.
LONGEST_SECONDS: Final = 100e-6
#: Part by which one gap moves the expected one.
SMOOTHING: Final = 0.1
#: Polling goes on for so many expected gaps.
GAPS: Final = 2.0


def polling_seconds(expected_gap: float) -> float:
    """How long to look for the next request before going to sleep; pure."""
    return GAPS * expected_gap if expected_gap <= LONGEST_SECONDS else 0.0


class HaltPoll:
    """Keeps the event loop from blocking for a moment after each answer.

    Args:
        loop: Which is kept awake.
        clock: Monotonic seconds.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float]) -> None:
        self._loop = loop
        self._clock = clock
        self._expected_gap = 2 * LONGEST_SECONDS
        self._answered_at = 0.0
        self._until = 0.0
        self._polling = False

    def answered(self, arrival: float, now: float) -> None:
        """A batch was answered.

        Args:
            arrival: When its first request came.
            now: The present.
        """
        gap = min(max(0.0, arrival - self._answered_at), 2 * LONGEST_SECONDS)
        self._answered_at = now
        self._expected_gap += SMOOTHING * (gap - self._expected_gap)
        self._until = now + polling_seconds(self._expected_gap)
        if self._until > now and not self._polling:
            self._polling = True
            self._loop.call_soon(self._poll)

    def _poll(self) -> None:
        """Something to do at once: the loop looks at its sockets and does not block."""
        if self._clock() < self._until:
            self._loop.call_soon(self._poll)
        else:
            self._polling = False
