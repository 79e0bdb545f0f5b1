"""Requests per second, latency and errors of the last minute, from the counters of all workers."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from penstock.monitoring.metrics import layout
from penstock.monitoring.metrics.latency_quantile import latency_quantile

from .traffic_hour import TrafficHour

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.server.control.coordination.exposition import Exposition

#: Between two readings of the counters, and how many are kept: a window of up to a minute.
STEP_SECONDS: Final = 10.0
_KEPT: Final = 7
_FIRST_SERVER_ERROR: Final = layout.status_index(500)

Blocks = dict[tuple[str, str], list[int]]


@dataclass(frozen=True, slots=True)
class Traffic:
    """Of one version.

    Attributes:
        requests: Since the server started.
        errors: Answered with 5xx since then.
        requests_per_second: Over the window.
        errors_per_second: Over the window.
        p50_seconds: Upper bound of the bucket that holds it; ``None`` without requests.
        p99_seconds: Likewise.
    """

    requests: int
    errors: int
    requests_per_second: float
    errors_per_second: float
    p50_seconds: float | None
    p99_seconds: float | None


class TrafficWindow:
    """Remembers readings of the counters.

    Args:
        exposition: Reads them.
        clock: Monotonic seconds.

    Attributes:
        hour: Requests per second by minute.
    """

    def __init__(self, exposition: Exposition, clock: Callable[[], float] = time.monotonic) -> None:
        self._exposition = exposition
        self._clock = clock
        self._readings: deque[tuple[float, Blocks]] = deque(maxlen=_KEPT)
        self.hour = TrafficHour()

    async def run(self) -> None:
        """Read regularly until cancelled."""
        never = asyncio.Event()
        while True:
            await self._read()
            try:
                async with asyncio.timeout(STEP_SECONDS):
                    await never.wait()
            except TimeoutError:
                continue

    async def now(self) -> dict[tuple[str, str], Traffic]:
        """By model and version."""
        oldest = self._readings[0] if self._readings else (self._clock(), {})
        blocks = (await self._exposition.figures()).blocks
        seconds = max(self._clock() - oldest[0], 1e-3)
        none = [0] * layout.SLOTS
        return {
            key: traffic(oldest[1].get(key, none), slots, seconds)
            for key, slots in blocks.items()
            if key[1]
        }

    async def _read(self) -> None:
        figures = await self._exposition.figures()
        now = self._clock()
        self._readings.append((now, figures.blocks))
        self.hour.add(now, figures.blocks)


def traffic(before: Sequence[int], after: Sequence[int], seconds: float) -> Traffic:
    """The figures of a version from two readings of its slots, so many seconds apart."""
    grown = [new - old for old, new in zip(before, after, strict=True)]
    statuses = slice(layout.STATUS, layout.STATUS + len(layout.STATUS_LABELS))
    errors = slice(_FIRST_SERVER_ERROR, statuses.stop - 1)
    buckets = grown[layout.LATENCY.first : layout.LATENCY.total]
    return Traffic(
        requests=sum(after[statuses]),
        errors=sum(after[errors]),
        requests_per_second=sum(grown[statuses]) / seconds,
        errors_per_second=sum(grown[errors]) / seconds,
        p50_seconds=latency_quantile(buckets, 0.5),
        p99_seconds=latency_quantile(buckets, 0.99),
    )
