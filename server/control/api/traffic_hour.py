"""Requests per second of each model, minute by minute, over the last hour."""

from __future__ import annotations

from collections import Counter, deque
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from penstock.monitoring.metrics import layout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    #: Slots by model and version, as the counters have them.
    Blocks = Mapping[tuple[str, str], Sequence[int]]

MINUTE_SECONDS: Final = 60.0
MINUTES: Final = 60
_STATUSES: Final = slice(layout.STATUS, layout.STATUS + len(layout.STATUS_LABELS))


class TrafficHour:
    """Readings of the counters, one a minute, for an hour. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._readings: deque[tuple[float, Counter[str]]] = deque(maxlen=MINUTES + 1)

    def add(self, now: float, blocks: Blocks) -> None:
        """Take a reading, if the last one is a minute old."""
        if self._readings and now - self._readings[-1][0] < MINUTE_SECONDS:
            return
        requests: Counter[str] = Counter()
        for (model, version), slots in blocks.items():
            if version:
                requests[model] += sum(slots[_STATUSES])
        self._readings.append((now, requests))

    def rates(self) -> dict[str, list[float]]:
        """By model, requests per second in each minute, oldest first; up to `MINUTES` figures."""
        readings = list(self._readings)
        models = readings[-1][1] if readings else ()
        return {
            model: [
                max(0, after[1][model] - before[1][model]) / (after[0] - before[0])
                for before, after in pairwise(readings)
            ]
            for model in models
        }
