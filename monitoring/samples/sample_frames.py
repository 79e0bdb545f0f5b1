"""Encodes samples as frames: a frame is one msgpack list with raw little-endian tensors.

A run is encoded when it is offered, while its arrays are in the processor's caches. The monitor
joins the runs of a version, so that its consumers get few samples of many requests; see
`penstock.monitoring.samples.sample_reader`.

    [ORIGIN, number, model, version, input names, output names, fraction sampled, seconds from the
        clock of `answered` to Unix time, columns or nil, segment fields,
        names of the elements of inputs, of outputs]
    [RUN, number of its origin, time, answered, rows, ids, arrivals, firsts, arms, inputs, outputs,
        names of the segments by headers or nil, clients]
    [ROWS, number of its origin, answered, ids, arrivals, data of each column, clients]
    [FAILURE, model, version, time, request id, status, error, latency, arm]

An array is its type, shape and data, or nothing where it is left out. Axis 0 is rows. Most runs are
of requests with one row each and have arrays like the first run of their origin: `ROWS` is for
these, at half the cost. A column is the type of an input or output and the shape of a row. Clients
are one for each request, one for all, or nil.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgpack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .privacy import Privacy
    from .run_sample import Failure, Origin, RunSample
    from .samples import Array

#: First element of a part of a frame.
RUN: Final = 0
FAILURE: Final = 1
ORIGIN: Final = 2
ROWS: Final = 3


class Layout(NamedTuple):
    """The layout of the arrays of a version.

    Attributes:
        number: Number of the origin in the frame.
        origin: The version.
        output_names: As in `RunSample`.
        row_bytes: Bytes of a row of each input, then of each output.
    """

    number: int
    origin: Origin
    output_names: tuple[str, ...]
    row_bytes: tuple[int, ...]


class FrameWriter:
    """Writes frames, without the fields that must not leave the worker.

    Args:
        fraction: Share of requests that is sampled.

    Attributes:
        layouts: Layouts of what may be written by `write_rows`.
    """

    __slots__ = ("_fraction", "_numbers", "_pack", "_packer", "_parts", "_rows", "layouts")

    def __init__(self, fraction: float) -> None:
        self._fraction = fraction
        self._packer = msgpack.Packer()
        self._pack = self._packer.pack
        self._parts: list[bytes] = []
        self._numbers: dict[tuple[Origin, tuple[str, ...]], int] = {}
        self._rows: dict[Origin, int] = {}
        self.layouts: dict[Origin, Layout] = {}

    def write(self, sample: RunSample) -> None:
        """Add a run."""
        origin, names, time, answered, rows, ids, arrivals, firsts, arms = sample[:9]
        inputs, outputs = sample.inputs, sample.outputs
        number = self._numbers.get((origin, names))
        if number is None:
            number = self._introduce(sample)
        privacy = origin.privacy
        if privacy is None:
            ins: Sequence[Any] = [_column(array, rows) for array in inputs]
            outs: Sequence[Any] = [_column(array, rows) for array in outputs]
        else:
            ins = _private(privacy, origin.input_names, inputs, rows)
            outs = _private(privacy, names, outputs, rows)
        own, clients = sample.header_segments, _shortened(sample.clients)
        run = number, time, answered, rows, ids, arrivals, firsts, arms, ins, outs, own, clients
        self._parts.append(self._pack((RUN, *run)))
        self._rows[origin] += rows  # last, so that a run that cannot be packed is not in the frame

    def write_rows(
        self,
        layout: Layout,
        answered: float,
        ids: Sequence[bytes],
        arrivals: Sequence[float],
        data: Sequence[bytes],
        clients: Sequence[bytes] = (),
    ) -> None:
        """Add a run of requests of one row each.

        Args:
            layout: One of `layouts`.
            answered: As in `RunSample`.
            ids: As in `RunSample`.
            arrivals: As in `RunSample`.
            data: Data of each array, inputs before outputs.
            clients: As in `RunSample`.
        """
        rows = layout.number, answered, ids, arrivals, data
        self._parts.append(self._pack((ROWS, *rows, _shortened(clients))))
        self._rows[layout.origin] += len(ids)

    def write_failure(self, failure: Failure) -> None:
        """Add a request that was answered with an error."""
        origin = failure.origin
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
        self._rows[origin] = self._rows.get(origin, 0) + 1

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
        self.layouts.clear()
        self._rows.clear()
        return rows, frame

    def _introduce(self, sample: RunSample) -> int:
        """Write the origin of a version before its first run."""
        origin, output_names = key = sample.origin, sample.output_names
        number = self._numbers[key] = len(self._numbers)
        self._rows.setdefault(origin, 0)
        arrays = _plain(sample)
        columns = None
        if arrays:
            columns = [(array.dtype.char, array.shape[1:]) for array in arrays]
            row_bytes = tuple(array.nbytes // sample.rows for array in arrays)
            self.layouts[origin] = Layout(number, origin, output_names, row_bytes)
        names = origin.input_names, output_names
        head = ORIGIN, number, origin.model, origin.version, *names, self._fraction
        tail = origin.segment_fields, origin.input_columns, origin.output_columns
        self._parts.append(self._pack((*head, sample.time - sample.answered, columns, *tail)))
        return number


def _plain(sample: RunSample) -> list[Array]:
    """The arrays of a run, if others may be written by `FrameWriter.write_rows`; else none."""
    arrays = (*sample.inputs, *sample.outputs)
    plain = [
        array
        for array in arrays
        if array is not None and array.shape[:1] == (sample.rows,) and not array.dtype.hasobject
    ]
    alone = sample.origin.privacy is None and sample.header_segments is None
    return plain if len(plain) == len(arrays) and alone else []


def _shortened(clients: Sequence[bytes]) -> Sequence[bytes] | bytes | None:
    """Clients as they are written: most runs are of one client."""
    if not clients:
        return None
    first = clients[0]
    return (first or None) if clients.count(first) == len(clients) else clients


def _column(array: Array | None, rows: int) -> tuple[str, tuple[int, ...], Any] | None:
    """Type, shape and data of an array; ``None`` if it is left out or has no rows."""
    if array is None:
        return None
    shape = array.shape
    if not shape or shape[0] != rows:
        if rows != 1:
            return None
        # Where axis 0 is not rows, all of it belongs to one request.
        shape = (1, *shape)
    dtype = array.dtype
    return dtype.char, shape, array.ravel().tolist() if dtype.hasobject else array.tobytes()


def _private(
    privacy: Privacy, names: Sequence[str], arrays: Sequence[Array | None], rows: int
) -> list[Any]:
    """The arrays after the privacy rules."""
    columns = []
    for name, array in zip(names, arrays, strict=True):
        if array is None or privacy.passes(name):
            columns.append(_column(array, rows))
        elif array.shape[:1] == (rows,):
            columns.append(_column(privacy.apply(name, array), rows))
        else:
            columns.append(_column(privacy.apply(name, array[None]), 1) if rows == 1 else None)
    return columns
