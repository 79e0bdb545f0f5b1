"""Samples in a worker: the requests of one run, or one failed request."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .samples import rows_of_requests

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from penstock.monitoring.segments.field import SegmentField

    from .privacy import Privacy
    from .samples import Array


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """A version that samples come from; made once when it is loaded.

    Attributes:
        model: Name of the model.
        version: Number of the version, as text.
        input_names: Names of the inputs.
        privacy: The privacy rules; ``None`` if all fields may leave the worker.
        segment_fields: The fields that divide its rows into segments.
        input_columns: Names that the model has for the elements of a row, by the name of the input.
        output_columns: The same of outputs.
        client_header: Header that names the client of a request, in lower case; empty takes its
            address, ``None`` nothing.
    """

    model: str
    version: str
    input_names: tuple[str, ...]
    privacy: Privacy | None = None
    segment_fields: tuple[SegmentField, ...] = ()
    input_columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    output_columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    client_header: bytes | None = b""


class RunSample(NamedTuple):
    """The requests of one run.

    Attributes:
        origin: The version that ran.
        output_names: Names of the outputs.
        time: Time of the answers, Unix seconds.
        answered: Time of the answers on the clock of `arrivals`.
        rows: Rows of all of them.
        ids: One id per request.
        arrivals: Arrival time of each request.
        firsts: First row of each request; ``None`` if each has exactly one row.
        arms: Arm of each request in a rollout; ``None`` without a rollout.
        inputs: One array per name of `origin`, ``None`` where left out; axis 0 is rows, or
            `rows` is 1 and the whole array is the row; another one cannot be told apart by rows.
        outputs: One array per name.
        header_segments: Of each of the segment fields that are headers, the name of the segment of
            each request; ``None`` without such a field.
        clients: Client of each request; empty if they are not known.
    """

    origin: Origin
    output_names: tuple[str, ...]
    time: float
    answered: float
    rows: int
    ids: Sequence[bytes]
    arrivals: Sequence[float]
    firsts: Sequence[int] | None
    arms: Sequence[str] | None
    inputs: Sequence[Array | None]
    outputs: Sequence[Array | None]
    header_segments: Sequence[Sequence[str]] | None = None
    clients: Sequence[bytes] = ()

    def only(self, picked: Sequence[int]) -> RunSample:
        """The sample with the requests at these positions only, in order."""
        firsts = self.firsts
        if firsts is None:
            rows, cut_firsts = np.asarray(picked, np.int64), None
        else:
            rows, offsets = rows_of_requests((*firsts, self.rows), picked)
            cut_firsts = offsets[:-1]

        def take(array: Array | None) -> Array | None:
            # Where axis 0 is not rows, the one request is the whole array.
            by_rows = array is not None and array.shape[:1] == (self.rows,)
            return array[rows] if array is not None and by_rows else array

        return self._replace(
            ids=[self.ids[one] for one in picked],
            arrivals=[self.arrivals[one] for one in picked],
            rows=len(rows),
            firsts=cut_firsts,
            arms=None if self.arms is None else [self.arms[one] for one in picked],
            inputs=[take(array) for array in self.inputs],
            outputs=[take(array) for array in self.outputs],
            header_segments=None
            if self.header_segments is None
            else [[names[one] for one in picked] for names in self.header_segments],
            clients=[self.clients[one] for one in picked] if self.clients else (),
        )

    def beginning(self, max_rows: int) -> RunSample:
        """The sample with its first requests only, which have at most `max_rows` rows together.

        If the first request has more rows, its first rows are used. A request whose arrays cannot
        be cut into rows is left out.
        """
        firsts = range(self.rows) if self.firsts is None else self.firsts
        ends = [*firsts[1:], self.rows]
        count = bisect_right(ends, max_rows)
        if count:
            return self.only(range(count))
        first = self if len(self.ids) == 1 else self.only([0])
        arrays = (*first.inputs, *first.outputs)
        if any(one is not None and one.shape[:1] != (first.rows,) for one in arrays):
            return self.only([])
        return first._replace(
            rows=max_rows,
            inputs=[None if one is None else one[:max_rows] for one in first.inputs],
            outputs=[None if one is None else one[:max_rows] for one in first.outputs],
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that was answered with an error; it counts as one row.

    Attributes:
        origin: The version that the request asked for.
        time: Time of the answer, Unix seconds.
        request_id: Id of the request.
        status: HTTP status.
        error: Stable code of the error.
        latency: Seconds.
        arm: Arm of the rollout; empty without one.
    """

    origin: Origin
    time: float
    request_id: bytes
    status: int
    error: str
    latency: float
    arm: str = ""


def array_bytes(arrays: Sequence[Array | None]) -> int:
    """Bytes of the content of these arrays; for strings their bytes, not the pointers."""
    total = 0
    for array in arrays:
        if array is not None:
            total += array.nbytes
            if array.dtype.hasobject:
                total += sum(map(len, array.ravel().tolist()))
    return total
