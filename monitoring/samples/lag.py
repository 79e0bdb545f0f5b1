"""Measures how far the monitor is behind the workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.monitoring.metrics.layout import MONITOR_LAG_NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.monitoring.metrics.metrics import CounterFile

    from .samples import BatchSample


class Lag:
    """Implements `penstock.monitoring.samples.consumer.Consumer`.

    Args:
        counters: Counters of the monitor process.
        clock: Unix seconds.
    """

    def __init__(self, counters: CounterFile, clock: Callable[[], float]) -> None:
        self._counters = counters
        self._clock = clock
        self._oldest = 0.0

    def take(self, samples: Sequence[BatchSample]) -> None:
        """Remember the oldest sample since the last tick."""
        oldest = min(sample.times[0] for sample in samples)
        self._oldest = min(self._oldest or oldest, oldest)

    def tick(self, now: float) -> None:
        """Export the age of the oldest sample; 0 without samples."""
        lag = max(0.0, now - self._oldest) if self._oldest else 0.0
        self._counters.set_gauge(MONITOR_LAG_NANOSECONDS, int(lag * 1e9))
        self._oldest = 0.0

    def close(self) -> None:
        """Nothing to close."""
