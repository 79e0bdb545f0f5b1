"""The counters of one model version in one process: slots of a counter file."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from . import layout
from .layout import BATCH_ROWS, COMPUTE, IN_FLIGHT, LATENCY, NANOSECONDS, QUEUE, ROWS, SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .unit_blocks import UnitBlocks

# The hot path reads plain module globals: an attribute of a dataclass costs twice as much.
_LATENCY, _LATENCY_SUM = LATENCY.first, LATENCY.total
_QUEUE, _QUEUE_SUM = QUEUE.first, QUEUE.total
_COMPUTE, _COMPUTE_SUM = COMPUTE.first, COMPUTE.total
_LAST_RUN = layout.LAST_RUN
_BATCH_ROWS, _BATCH_ROWS_SUM = BATCH_ROWS.first, BATCH_ROWS.total


class ModelCounters:
    """The counters of one model version in this process. Event loop only; no call can fail.

    ``status`` arguments are `penstock.monitoring.metrics.layout.status_index` of an HTTP status:
    look it up once, not per request.

    Args:
        model: Name of the model.
        version: As the registry has it.
        slots: Its block.
        unit_blocks: Makes further blocks.
        clock: Unix nanoseconds.
    """

    __slots__ = ("_by_rows", "_clock", "_slots", "_unit_blocks", "model", "version")

    def __init__(
        self,
        model: str,
        version: str,
        slots: memoryview,
        unit_blocks: UnitBlocks,
        clock: Callable[[], int],
    ) -> None:
        self.model = model
        self.version = version
        self._slots = slots
        self._unit_blocks = unit_blocks
        self._clock = clock
        self._by_rows: dict[int, tuple[memoryview, int, int]] = {}

    def enter(self, count: int = 1) -> None:
        """So many requests were admitted and are now in flight."""
        self._slots[IN_FLIGHT] += count

    def leave(self, count: int = 1) -> None:
        """So many requests that entered are over, whatever became of them."""
        self._slots[IN_FLIGHT] -= count

    def observe_request(self, status: int, latency_ns: int, queue_ns: int | None = None) -> None:
        """One request was answered; `queue_ns` is left out when it never reached the queue."""
        slots = self._slots
        slots[status] += 1
        slots[_LATENCY + bisect_left(NANOSECONDS, latency_ns)] += 1
        slots[_LATENCY_SUM] += latency_ns
        if queue_ns is not None:
            slots[_QUEUE + bisect_left(NANOSECONDS, queue_ns)] += 1
            slots[_QUEUE_SUM] += queue_ns

    def observe_many(
        self, status: int, arrivals: Sequence[float], formed_at: float | None, now: float
    ) -> None:
        """Requests that shared a batch, or were refused together, were answered.

        Same figures as `observe_request` for each, at a fraction of the cost: the whole batch
        falls into one bucket or a few, whose borders are looked up in the sorted arrivals.

        Args:
            status: Slot of their common HTTP status.
            arrivals: Time of arrival of each, in seconds of the clock of the other two; not empty.
            formed_at: Time at which they left the queue together; ``None`` if they never reached
                it.
            now: Time at which they were answered.
        """
        count = len(arrivals)
        if count == 1:
            arrival = arrivals[0]
            queue_ns = None if formed_at is None else int((formed_at - arrival) * 1e9)
            self.observe_request(status, int((now - arrival) * 1e9), queue_ns)
            return
        slots = self._slots
        slots[status] += count
        ordered = sorted(arrivals)
        total = sum(ordered)
        _spread(slots, _LATENCY, ordered, now)
        slots[_LATENCY_SUM] += int((now * count - total) * 1e9)
        if formed_at is not None:
            _spread(slots, _QUEUE, ordered, formed_at)
            slots[_QUEUE_SUM] += int((formed_at * count - total) * 1e9)

    def observe_batch(self, rows: int, compute_ns: int) -> None:
        """One run of `rows` rows took `compute_ns` on its thread, and has just ended."""
        slots = self._slots
        slots[_LAST_RUN] = self._clock()
        counts, place, bucket = self._by_rows.get(rows) or self._counts_of(rows)
        counts[place] += 1
        counts[place + 1] += compute_ns
        slots[bucket] += 1
        slots[_BATCH_ROWS_SUM] += rows
        slots[_COMPUTE + bisect_left(NANOSECONDS, compute_ns)] += 1
        slots[_COMPUTE_SUM] += compute_ns

    def _counts_of(self, rows: int) -> tuple[memoryview, int, int]:
        """The block that counts runs of so many rows, its first slot of them, and their bucket."""
        bucket = _BATCH_ROWS + bisect_left(ROWS, rows)
        if not 1 <= rows <= layout.MOST_COUNTED_ROWS:  # such runs are only counted together
            return memoryview(bytearray(16)).cast("q"), 0, bucket
        number, place = divmod(rows - 1, layout.ROWS_PER_BLOCK)
        found = self._unit_blocks.runs(self.model, self.version, number), 2 * place, bucket
        self._by_rows[rows] = found
        return found

    def drop(self, reason: str, count: int = 1) -> None:
        """Requests were dropped before they ran; see `layout.DROP_REASONS`."""
        self._slots[layout.drop_index(reason)] += count

    def sampled(self, rows: int, dropped: int = 0) -> None:
        """Rows were offered to the sample buffer, of which `dropped` found no room."""
        self._slots[layout.SAMPLED_ROWS] += rows
        self._slots[layout.SAMPLED_ROWS_DROPPED] += dropped

    def add(self, slot: int, count: int = 1) -> None:
        """Add to a plain counter; see `layout.ARM_REQUESTS` and those after it."""
        self._slots[slot] += count

    def read(self, first: int, end: int) -> list[int]:
        """The present values of the slots from `first` up to `end`."""
        return self._slots[first:end].tolist()

    def units(self) -> memoryview:
        """A block for the units that fail most in a rollout of this version; int64 slots."""
        return self._unit_blocks.block(self.model, self.version)

    def segments(self, number: int) -> list[memoryview]:
        """Blocks for the counts of segments in rollouts of this version."""
        return self._unit_blocks.segments(self.model, self.version, number)

    def unit_memory(self) -> memoryview:
        """Memory for units that failed before; the same in all processes of the server."""
        return self._unit_blocks.memory()


def _spread(slots: memoryview, first: int, ordered: list[float], end: float) -> None:
    """Count ``end - arrival`` of each into the buckets from slot `first`, newest arrival first."""
    stop = len(ordered)
    bucket = bisect_left(SECONDS, end - ordered[-1])
    while stop and bucket < len(SECONDS):
        start = bisect_left(ordered, end - SECONDS[bucket], 0, stop)
        slots[first + bucket] += stop - start
        stop = start
        bucket += 1
    slots[first + bucket] += stop
