"""Samples in the monitor: requests of one version, with their rows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from penstock.monitoring.segments.field import SegmentField
    from penstock.monitoring.segments.segment_rows import SegmentRows

#: Any tensor; strings are object arrays of ``bytes``.
Array = NDArray[Any]


@dataclass(slots=True)
class BatchSample:
    """Answered requests of one version, or failed requests with the same error.

    Attributes:
        model: Name of the model.
        version: Version that ran.
        time: Time of the last answer, Unix seconds.
        request_ids: One id per request.
        offsets: Rows of request ``i`` are ``offsets[i]`` up to ``offsets[i + 1]``.
        statuses: HTTP status of each request.
        latencies: Seconds of each request.
        input_names: Names of the inputs. Rows over 4 KiB are not sent: an input ``x`` is then
            replaced by ``x.norm``, ``x.mean`` and so on, see `penstock.monitoring.metrics.derived`.
        inputs: One array per name, ``None`` where left out; axis 0 is rows.
        output_names: Names of the outputs; empty if the requests failed.
        outputs: One array per name, ``None`` where it may not leave the worker; axis 0 is rows.
        times: Time of each answer, Unix seconds.
        arm: Arm of the rollout that chose the version; empty without one.
        error: Code of the common error of the requests. Such a sample has one row per
            request and no arrays.
        fraction: Share of requests that was sampled; divide by it to extrapolate.
        featured: Names of features of plug-ins; they are the last of `input_names`.
        segment_fields: The declared fields that divide the rows into segments.
        segments: The segment of each row, by each of them.
        input_columns: Names that the model has for the elements of a row, by the name of the input.
        output_columns: The same of outputs.
        header_segments: Of each field that is a header, in their order, the name of the segment of
            each request.
        clients: Client of each request, by its address or the declared header, empty where it is
            not known; nothing if none is.
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
    outputs: Sequence[Array | None]
    times: Sequence[float]
    arm: str = ""
    error: str = ""
    fraction: float = 1.0
    featured: tuple[str, ...] = ()
    segment_fields: tuple[SegmentField, ...] = ()
    segments: tuple[SegmentRows, ...] = ()
    input_columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    output_columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    header_segments: Sequence[Sequence[str]] = ()
    clients: Sequence[bytes] = ()

    @property
    def rows(self) -> int:
        """Rows of all requests."""
        return self.offsets[-1]

    def only(self, chosen: Sequence[int]) -> BatchSample:
        """The sample with the requests at these positions only, in order; `time` stays the same."""
        rows, offsets = rows_of_requests(self.offsets, chosen)
        return replace(
            self,
            request_ids=[self.request_ids[one] for one in chosen],
            offsets=offsets,
            statuses=[self.statuses[one] for one in chosen],
            latencies=[self.latencies[one] for one in chosen],
            times=[self.times[one] for one in chosen],
            inputs=[None if array is None else array[rows] for array in self.inputs],
            outputs=[None if array is None else array[rows] for array in self.outputs],
            segments=tuple(one.only(rows) for one in self.segments),
            header_segments=[[names[one] for one in chosen] for names in self.header_segments],
            clients=[self.clients[one] for one in chosen] if self.clients else (),
        )


def rows_of_requests(
    offsets: Sequence[int], chosen: Sequence[int]
) -> tuple[NDArray[np.int64], list[int]]:
    """The rows of some requests of a batch, and their offsets among themselves.

    Args:
        offsets: Rows of request ``i`` are ``offsets[i]`` up to ``offsets[i + 1]``.
        chosen: Positions of the requests, in order.
    """
    spans = [np.arange(offsets[one], offsets[one + 1], dtype=np.int64) for one in chosen]
    rows = np.concatenate([*spans, np.empty(0, np.int64)])
    return rows, np.cumsum([0, *map(len, spans)]).tolist()
