"""A limit on events per second."""

from __future__ import annotations


class RateLimit:
    """Grants up to a number in each second of the clock.

    Args:
        per_second: Most events in each second.
    """

    __slots__ = ("_left", "_per_second", "_second")

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._left = per_second
        self._second = 0

    def grant(self, count: int, now: float) -> int:
        """The number of `count` events that are allowed at this time, in seconds."""
        second = int(now)
        if second != self._second:
            self._second = second
            self._left = self._per_second
        granted = min(count, self._left)
        self._left -= granted
        return granted
