"""A bounded buffer of samples in a worker; the inference path never waits for it.

A worker offers each finished run once. The run is encoded at once, and its arrays are released. If
there is no room, the newest run is dropped and its rows are counted:
``offered == drained + pending + dropped``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from zlib import crc32

from .sample_frames import FrameWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .run_sample import Failure, Origin, RunSample
    from .samples import Array

_HASH_SPAN: Final = 1 << 32
#: Bytes of the ids, times and objects of one row, roughly.
_ROW_BYTES: Final = 150
#: Bytes at which the buffer is drained: little work at a time, and few frames.
ENOUGH_ROWS: Final = 512
ENOUGH_BYTES: Final = 256 << 10


class SampleBuffer:
    """The buffer of samples. One thread offers and drains.

    Args:
        max_rows: Most rows kept.
        max_bytes: Most bytes kept.
        rate: Share of requests sampled, 0 to 1. Chosen by a hash of the request id, so that every
            process, and every arm of a shadow comparison, picks the same requests. Failures are
            always taken.

    Attributes:
        on_first: Called when the buffer is no longer empty.
        on_enough: Called when the buffer should be drained now.
    """

    __slots__ = (
        "_bytes",
        "_max_bytes",
        "_max_rows",
        "_rows",
        "_threshold",
        "_writer",
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
        self._writer = FrameWriter(rate)
        self._rows = 0
        self._bytes = 0
        self.on_first: Callable[[], object] = _nobody
        self.on_enough: Callable[[], object] = _nobody

    @property
    def enabled(self) -> bool:
        """True if samples are taken at all; checked before a `RunSample` is built."""
        return self._threshold > 0

    @property
    def pending_rows(self) -> int:
        """Rows waiting to be drained."""
        return self._rows

    def close(self) -> None:
        """Drop all samples from now on, because the buffer is not drained any more."""
        self._max_rows = 0

    def pick(self, sample: RunSample) -> RunSample:
        """The sample with the chosen requests only; below a rate of 1, one hash per request."""
        picked = self.picked(sample.ids)
        return sample if picked is None else sample.only(picked)

    def picked(self, ids: Sequence[bytes]) -> list[int] | None:
        """Positions of the chosen requests; ``None`` if all are chosen."""
        threshold = self._threshold
        if threshold == _HASH_SPAN:
            return None
        picked = [index for index, one in enumerate(ids) if crc32(one) < threshold]
        return None if len(picked) == len(ids) else picked

    def offer(self, sample: RunSample, held: int) -> bool:
        """Keep a run if there is room; a few microseconds.

        Args:
            sample: The result of `pick`.
            held: Bytes of its arrays.

        Raises:
            Exception: Its values cannot be packed; nothing of it is kept.
        """
        origin, names, _, answered, rows, ids, arrivals, firsts, arms = sample[:9]
        if firsts is None and arms is None and sample.header_segments is None:
            arrays = *sample.inputs, *sample.outputs
            kept = self.offer_rows(origin, names, answered, ids, arrivals, arrays, sample.clients)
            if kept is not None:
                return kept
        need = held + _ROW_BYTES * rows
        if not self._admit(rows, need):
            return False
        try:
            self._writer.write(sample)
        except BaseException:  # the frame holds no part of rows that cannot be packed
            self._rows -= rows
            self._bytes -= need
            raise
        self._tell_if_enough()
        return True

    def offer_rows(
        self,
        origin: Origin,
        output_names: tuple[str, ...],
        answered: float,
        ids: Sequence[bytes],
        arrivals: Sequence[float],
        arrays: Sequence[Array | None],
        clients: Sequence[bytes] = (),
    ) -> bool | None:
        """Keep a run of requests of one row each if there is room; half as dear as `offer`.

        Args:
            origin: As in `RunSample`.
            output_names: As in `RunSample`.
            answered: As in `RunSample`.
            ids: As in `RunSample`.
            arrivals: As in `RunSample`.
            arrays: Inputs, then outputs; axis 0 is rows.
            clients: As in `RunSample`.

        Returns:
            ``None``, and nothing was done, if the run has to go through `offer`: the first run of
            its kind in a frame, and each run with other arrays than that one.
        """
        layout = self._writer.layouts.get(origin)
        if layout is None or layout.output_names is not output_names:
            return None
        data = [array.tobytes() for array in arrays if array is not None]
        rows = len(ids)
        sizes = list(map(len, data))
        if sizes != [size * rows for size in layout.row_bytes]:
            return None
        held = sum(sizes)
        if not self._admit(rows, held + _ROW_BYTES * rows):
            return False
        self._writer.write_rows(layout, answered, ids, arrivals, data, clients)
        self._tell_if_enough()
        return True

    def offer_failure(self, failure: Failure) -> bool:
        """Keep a failure if there is room; it counts as one row."""
        if not self._admit(1, _ROW_BYTES):
            return False
        self._writer.write_failure(failure)
        return True

    def drain(self) -> tuple[dict[tuple[str, str], int], bytes]:
        """Take all samples out of the buffer.

        Returns:
            Rows by model and version, and the frame.
        """
        self._rows = self._bytes = 0
        return self._writer.finish()

    def _admit(self, rows: int, held: int) -> bool:
        if self._rows + rows > self._max_rows or self._bytes + held > self._max_bytes:
            return False
        first = not self._rows
        self._rows += rows
        self._bytes += held
        if first:
            self.on_first()
        return True

    def _tell_if_enough(self) -> None:
        if self._rows >= ENOUGH_ROWS or self._bytes >= ENOUGH_BYTES:
            self.on_enough()


def _nobody() -> None:
    """Do nothing."""
