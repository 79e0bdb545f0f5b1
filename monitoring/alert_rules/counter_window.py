"""Readings of counters over the last hours, and their growth within a window. Bounded."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class CounterWindow:
    """Readings of counters that only grow.

    Args:
        span_seconds: Longest window of `growth`.
        step_seconds: At most one reading in this time is kept.
        counters: Number of counters in a reading.
    """

    def __init__(self, span_seconds: float, step_seconds: float, counters: int) -> None:
        self._span = span_seconds
        self._step = step_seconds
        self._times = array("d")
        self._values = [array("d") for _ in range(counters)]
        self._last: tuple[float, ...] = (0.0,) * counters

    def read(self, now: float, values: Sequence[float]) -> None:
        """Take a reading; counters that shrank have restarted, and older readings are forgotten."""
        times = self._times
        if any(new < old for new, old in zip(values, self._last, strict=True)):
            del times[:]
            for kept in self._values:
                del kept[:]
        self._last = tuple(values)
        if times and now - times[-1] < self._step:
            return
        times.append(now)
        for kept, value in zip(self._values, values, strict=True):
            kept.append(value)
        # The reading just beyond the span is still needed as the start of a window.
        old = bisect_right(times, now - self._span) - 1
        if old > 0:
            del times[:old]
            for kept in self._values:
                del kept[:old]

    def growth(self, now: float, seconds: float) -> tuple[float, ...]:
        """Growth of each counter in the last `seconds`, or since the first reading."""
        if not self._times:
            return (0.0,) * len(self._values)
        start = max(0, bisect_right(self._times, now - seconds) - 1)
        return tuple(
            last - kept[start] for last, kept in zip(self._last, self._values, strict=True)
        )

    def __len__(self) -> int:
        return len(self._times)
