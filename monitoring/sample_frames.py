"""Samples as bytes: a frame is one msgpack list, tensors in it are raw little-endian data.

A run is written when it is offered, while its arrays are in the caches, and nothing is kept of it
but these bytes. The monitor, which has the time, puts the runs of a version together, so that its
consumers see few samples of many requests; see `penstock.monitoring.sample_reader`.

    [ORIGIN, number, model, version, input names, output names, fraction sampled]
    [RUN, number of its origin, time, answered, rows, ids, arrivals, firsts, arms, inputs, outputs]
    [FAILURE, model, version, time, request id, status, error, latency, arm]

An array is its type, shape and data, or nothing where it is left out. Axis 0 is rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgpack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .privacy import Privacy
    from .samples import Array
    from .taken import Failure, Origin, Taken

#: First element of a part of a frame.
RUN: Final = 0
FAILURE: Final = 1
ORIGIN: Final = 2


class FrameWriter:
    """Writes frames; what may not leave the worker is not in them.

    Args:
        fraction: Share of requests that is sampled.
    """

    __slots__ = ("_fraction", "_numbers", "_pack", "_packer", "_parts", "_rows")

    def __init__(self, fraction: float) -> None:
        self._fraction = fraction
        self._packer = msgpack.Packer()
        self._pack = self._packer.pack
        self._parts: list[bytes] = []
        self._numbers: dict[tuple[Origin, tuple[str, ...]], int] = {}
        self._rows: dict[Origin, int] = {}

    def write(self, taken: Taken) -> None:
        """Add a run."""
        origin, names, time, answered, rows, ids, arrivals, firsts, arms, inputs, outputs = taken
        number = self._numbers.get((origin, names))
        if number is None:
            number = self._introduce(origin, names)
        self._rows[origin] += rows
        privacy = origin.privacy
        if privacy is None:
            ins: Sequence[Any] = [_column(array, rows) for array in inputs]
            outs: Sequence[Any] = [_column(array, rows) for array in outputs]
        else:
            ins = _private(privacy, origin.input_names, inputs, rows)
            outs = _private(privacy, names, outputs, rows)
        part = (RUN, number, time, answered, rows, ids, arrivals, firsts, arms, ins, outs)
        self._parts.append(self._pack(part))

    def write_failure(self, failure: Failure) -> None:
        """Add a request that was answered with an error."""
        origin = failure.origin
        self._rows[origin] = self._rows.get(origin, 0) + 1
        part = (
            FAILURE,
            origin.model,
            origin.version,
            failure.time,
            failure.request_id,
            failure.status,
            failure.error,
            failure.latency,
            failure.arm,
        )
        self._parts.append(self._pack(part))

    def finish(self) -> tuple[dict[tuple[str, str], int], bytes]:
        """End the frame, and begin the next.

        Returns:
            Its rows by model and version, and its bytes.
        """
        rows: dict[tuple[str, str], int] = {}
        for origin, count in self._rows.items():
            labels = origin.model, origin.version
            rows[labels] = rows.get(labels, 0) + count
        parts = self._parts
        frame = b"".join((self._packer.pack_array_header(len(parts)), *parts))
        self._parts = []
        self._numbers.clear()
        self._rows.clear()
        return rows, frame

    def _introduce(self, origin: Origin, output_names: tuple[str, ...]) -> int:
        number = self._numbers[origin, output_names] = len(self._numbers)
        self._rows.setdefault(origin, 0)
        names = origin.input_names, output_names
        part = (ORIGIN, number, origin.model, origin.version, *names, self._fraction)
        self._parts.append(self._pack(part))
        return number


def _column(array: Array | None, rows: int) -> tuple[str, tuple[int, ...], Any] | None:
    """Type, shape and data; ``None`` for what is left out, or cannot be told apart by rows."""
    if array is None:
        return None
    shape = array.shape
    if not shape or shape[0] != rows:
        if rows != 1:
            return None
        # Of a model without a batch axis, all of it belongs to one request.
        shape = (1, *shape)
    dtype = array.dtype
    return dtype.char, shape, array.ravel().tolist() if dtype.hasobject else array.tobytes()


def _private(
    privacy: Privacy, names: Sequence[str], arrays: Sequence[Array | None], rows: int
) -> list[Any]:
    """The same of what may leave the worker, as it may."""
    columns = []
    for name, array in zip(names, arrays, strict=True):
        if array is None or privacy.passes(name):
            columns.append(_column(array, rows))
        elif array.shape[:1] == (rows,):
            columns.append(_column(privacy.apply(name, array), rows))
        else:
            columns.append(_column(privacy.apply(name, array[None]), 1) if rows == 1 else None)
    return columns
