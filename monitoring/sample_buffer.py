"""Samples waiting in a worker to be flushed: bounded, never waited for.

A worker offers each finished batch once. What is kept are references to arrays that exist anyway;
bytes are made when the buffer is flushed. When there is no room, the newest batch is dropped and
its rows are counted: ``offered == drained + pending + dropped``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Callable

    from .taken import Failure, Taken

_HASH_SPAN: Final = 1 << 32
#: What the ids, times and objects of one row take, roughly.
_ROW_BYTES: Final = 150
#: As soon as so many rows wait they are flushed: little work at a time, and few frames.
ENOUGH_ROWS: Final = 512
#: Each batch costs a flush about as much as a dozen rows, and whoever is asked meanwhile waits for
#: it: so many batches are enough, too, unless they have so few rows that it would never end.
ENOUGH_BATCHES: Final = 32
ENOUGH_ROWS_OF_BATCHES: Final = 128
ENOUGH_BYTES: Final = 256 << 10
#: What has gathered while nobody drained leaves in frames of about this size.
FRAME_ROWS: Final = 2048
FRAME_BYTES: Final = 2 << 20


class SampleBuffer:
    """Samples waiting to be flushed. One thread offers and drains.

    Args:
        max_rows: Most rows kept.
        max_bytes: Most bytes kept.
        rate: Share of requests sampled, 0 to 1. Chosen by a hash of the request id, so that every
            process, and every arm of a shadow comparison, picks the same requests. Failures are
            always taken.

    Attributes:
        on_first: Called when something waits after nothing did.
        on_enough: For whoever finds `enough`.
    """

    __slots__ = (
        "_bytes",
        "_failures",
        "_max_bytes",
        "_max_rows",
        "_pending",
        "_rows",
        "_threshold",
        "drained_rows",
        "dropped_rows",
        "offered_rows",
        "on_enough",
        "on_first",
        "rate",
    )

    def __init__(self, max_rows: int, max_bytes: int, rate: float = 1.0) -> None:
        if not 0.0 <= rate <= 1.0:
            raise ValueError(f"the sampling rate is {rate}, expected 0 to 1")
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self.rate = rate
        self._threshold = round(rate * _HASH_SPAN)
        self._pending: list[Taken] = []
        self._failures: list[Failure] = []
        self._rows = 0
        self._bytes = 0
        self.offered_rows = 0
        self.dropped_rows = 0
        self.drained_rows = 0
        self.on_first: Callable[[], object] = _nobody
        self.on_enough: Callable[[], object] = _nobody

    @property
    def enabled(self) -> bool:
        """Whether anything is sampled at all; look before building a `Taken`."""
        return self._threshold > 0

    @property
    def pending_rows(self) -> int:
        """Rows waiting to be drained."""
        return self._rows

    @property
    def enough(self) -> bool:
        """Whether so much waits that it should be drained now."""
        rows = self._rows
        return (
            rows >= ENOUGH_ROWS
            or self._bytes >= ENOUGH_BYTES
            or (rows >= ENOUGH_ROWS_OF_BATCHES and len(self._pending) >= ENOUGH_BATCHES)
        )

    def close(self) -> None:
        """Nobody drains any more: whatever is offered from now on is dropped."""
        self._max_rows = 0

    def offer(self, taken: Taken, held: int) -> tuple[int, int]:
        """Keep a batch if there is room; O(1) at rate 1, else one hash per request.

        Args:
            taken: The batch.
            held: Bytes that its arrays keep alive.

        Returns:
            Rows picked and rows dropped, for `ModelCounters.sampled`.
        """
        rows = taken.rows
        if self._threshold < _HASH_SPAN:
            threshold, ids = self._threshold, taken.ids
            among = range(len(ids)) if taken.picked is None else taken.picked
            taken.picked = [index for index in among if crc32(ids[index]) < threshold]
        if taken.picked is not None:
            if not taken.picked:
                return 0, 0
            rows = taken.picked_rows
        taken.held = held + _ROW_BYTES * rows
        if not self._admit(rows, taken.held):
            return rows, rows
        self._pending.append(taken)
        return rows, 0

    def offer_failure(self, failure: Failure) -> tuple[int, int]:
        """Keep a failure if there is room; it counts as one row."""
        if not self._admit(1, _ROW_BYTES):
            return 1, 1
        self._failures.append(failure)
        return 1, 0

    def drain(self) -> tuple[list[Taken], list[Failure]]:
        """Take what waits, oldest first, but no more than makes a reasonable frame."""
        failures, self._failures = self._failures, []
        pending, rest = self._pending, []
        taken, held = self._rows, self._bytes
        if taken > FRAME_ROWS or held > FRAME_BYTES:
            taken, held, count = len(failures), len(failures) * _ROW_BYTES, 0
            while count < len(pending) and taken < FRAME_ROWS and held < FRAME_BYTES:
                taken += pending[count].picked_rows
                held += pending[count].held
                count += 1
            pending, rest = pending[:count], pending[count:]
        self._pending = rest
        self._rows -= taken
        self._bytes -= held
        self.drained_rows += taken
        return pending, failures

    def _admit(self, rows: int, held: int) -> bool:
        self.offered_rows += rows
        if self._rows + rows > self._max_rows or self._bytes + held > self._max_bytes:
            self.dropped_rows += rows
            return False
        first = not self._rows
        self._rows += rows
        self._bytes += held
        if first:
            self.on_first()
        return True


def _nobody() -> None:
    """Nobody is told."""
