"""Inputs and outputs on their way to the drift monitor: bounded, never waited for.

A worker offers each finished batch once. What is kept are references to arrays that exist anyway;
bytes are made when the buffer is flushed, off the way of any request. When there is no room, the
newest batch is dropped and its rows are counted: ``offered == drained + pending + dropped``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zlib import crc32

from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Any tensor; strings are object arrays of ``bytes``.
Array = NDArray[Any]

_HASH_SPAN = 1 << 32

#: Larger rows, pictures for example, are dropped and counted: passing on dozens of megabytes a
#: second would cost the requests more than serving them does.
MAX_ROW_BYTES = 4096


@dataclass(slots=True)
class BatchSample:
    """Requests that shared a run, or failed together.

    Attributes:
        model: Name of the model.
        version: Version that ran.
        time: Unix seconds when it was answered.
        request_ids: One per request.
        offsets: Rows of request ``i`` are ``offsets[i]`` up to ``offsets[i + 1]``.
        statuses: HTTP status of each request.
        latencies: Seconds of each request.
        input_names: As the model calls them.
        inputs: One array per name, ``None`` where left out; axis 0 is rows where the model has a
            batch axis.
        output_names: As the model calls them; empty when the run failed.
        outputs: One array per name.
        picked: Which requests are sampled; ``None`` means all.
        times: Unix seconds when each request was answered; empty means `time` for all.
        arm: Of the rollout that chose the version; empty without one.
        error: Code of the error that all of them were answered with. Such a sample has one row per
            request and no arrays.
        fraction: Share of requests that was sampled, for whoever extrapolates.
        digest: Of the version's files; empty if it has no manifest.
    """

    model: str
    version: str
    time: float
    request_ids: Sequence[bytes]
    offsets: Sequence[int]
    statuses: Sequence[int]
    latencies: Sequence[float]
    input_names: tuple[str, ...]
    inputs: Sequence[Array | None]
    output_names: tuple[str, ...]
    outputs: Sequence[Array]
    picked: Sequence[int] | None = None
    times: Sequence[float] = ()
    arm: str = ""
    error: str = ""
    fraction: float = 1.0
    digest: str = ""

    @property
    def rows(self) -> int:
        """Rows of the picked requests."""
        offsets = self.offsets
        if self.picked is None:
            return offsets[-1] - offsets[0]
        return sum(offsets[index + 1] - offsets[index] for index in self.picked)

    @property
    def held_bytes(self) -> int:
        """Bytes that the arrays keep alive."""
        return sum(_array_bytes(array) for array in (*self.inputs, *self.outputs))


class SampleBuffer:
    """Samples waiting to be flushed. One thread offers and drains.

    Args:
        max_rows: Most rows kept.
        max_bytes: Most array bytes kept.
        rate: Share of requests sampled, 0 to 1. Chosen by a hash of the request id, so that every
            process, and every arm of a shadow comparison, picks the same requests.
    """

    __slots__ = (
        "_bytes",
        "_max_bytes",
        "_max_rows",
        "_pending",
        "_rate",
        "_rows",
        "_threshold",
        "drained_rows",
        "dropped_rows",
        "offered_rows",
    )

    def __init__(self, max_rows: int, max_bytes: int, rate: float = 1.0) -> None:
        if not 0.0 <= rate <= 1.0:
            raise ValueError(f"the sampling rate is {rate}, expected 0 to 1")
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._rate = rate
        self._threshold = round(rate * _HASH_SPAN)
        self._pending: list[BatchSample] = []
        self._rows = 0
        self._bytes = 0
        self.offered_rows = 0
        self.dropped_rows = 0
        self.drained_rows = 0

    @property
    def enabled(self) -> bool:
        """Whether anything is sampled at all; look before building a `BatchSample`."""
        return self._threshold > 0

    @property
    def pending_rows(self) -> int:
        """Rows waiting to be drained."""
        return self._rows

    def offer(self, sample: BatchSample) -> tuple[int, int]:
        """Keep a batch if there is room; O(1) at rate 1, else one hash per request.

        Returns:
            Rows picked and rows dropped, for `ModelCounters.sampled`.
        """
        if self._threshold < _HASH_SPAN:
            ids = sample.request_ids
            threshold = self._threshold
            picked = [index for index, one in enumerate(ids) if crc32(one) < threshold]
            if not picked:
                return 0, 0
            sample.picked = picked
        rows = sample.rows
        held = sample.held_bytes
        self.offered_rows += rows
        too_large = held > MAX_ROW_BYTES * max(1, sample.offsets[-1] - sample.offsets[0])
        full = self._rows + rows > self._max_rows or self._bytes + held > self._max_bytes
        if too_large or full:
            self.dropped_rows += rows
            return rows, rows
        self._pending.append(sample)
        self._rows += rows
        self._bytes += held
        return rows, 0

    def drain(self) -> list[BatchSample]:
        """Take everything that waits, oldest first."""
        pending = self._pending
        self._pending = []
        self.drained_rows += self._rows
        self._rows = 0
        self._bytes = 0
        return pending


def _array_bytes(array: Array | None) -> int:
    if array is None:
        return 0
    if array.dtype.hasobject:
        return sum(map(len, array.ravel().tolist()))
    return array.nbytes
