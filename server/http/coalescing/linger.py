"""Waits some microseconds for the clients of the last run, because they ask again together.

A client that asks again when it has its answer is back within tens of microseconds. With a few such
clients requests fall into groups, one of which arrives while the other runs, and every group pays
for a run of its own: about 100 us on caches that the sockets' work has emptied, where a row more
costs a tenth of it. So a group waits until all clients that the last run answered are back,
but at most `LONGEST_SECONDS` after those answers. The groups become one, and stay one.

Clients that do not come back make the wait futile. Each futile wait doubles the number of runs
before the next attempt, so that under other loads next to nothing is waited for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

#: After the answers of the last run; the others of eight connections are back by then.
LONGEST_SECONDS: Final = 60e-6
#: Futile waits in a row that still double the pause: 2 ** 8 runs.
MOST_FUTILE: Final = 8


class Linger:
    """Holds the connections that the last run answered, and says whether to wait for them."""

    __slots__ = ("_answered", "_futile", "_pause", "_until", "_waiting")

    def __init__(self) -> None:
        self._answered: AbstractSet[int] = frozenset()
        self._until = 0.0
        self._waiting = False
        self._futile = 0
        self._pause = 0

    @property
    def wanted(self) -> bool:
        """Whether `expects` is worth asking; there is a pause after futile waits."""
        return not self._pause

    def expects(self, present: AbstractSet[int], now: float) -> bool:
        """Whether further clients are expected, so that the present requests should wait for them.

        Args:
            present: The connections that have asked since the last run.
            now: Monotonic seconds.
        """
        if self._answered <= present:
            if self._waiting:
                self._futile = 0
            return False
        if now < self._until:
            self._waiting = True
            return True
        if self._waiting:
            self._futile = min(self._futile + 1, MOST_FUTILE)
            self._pause = 2**self._futile
        return False

    def ran(self, present: AbstractSet[int], now: float) -> None:
        """Note that the last run has answered these connections.

        Args:
            present: As in `expects`; empty in a pause, in which nobody keeps count.
            now: Monotonic seconds.
        """
        self._answered = present
        self._until = now + LONGEST_SECONDS
        self._waiting = False
        if self._pause:
            self._pause -= 1
