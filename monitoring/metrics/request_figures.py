"""The requests and the runs of one version, from its counters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from . import layout

if TYPE_CHECKING:
    from collections.abc import Sequence

_OK: Final = layout.status_index(200)
_STATUSES: Final = slice(layout.STATUS, layout.STATUS + len(layout.STATUS_LABELS))


class RequestFigures(NamedTuple):
    """Sums since the server started; times are nanoseconds.

    Attributes:
        succeeded: Requests answered with 200.
        failed: All other requests.
        succeeded_ns: From the first byte of a request to its answer, of those with 200.
        failed_ns: The same of the others.
        queued: Requests that waited for a run.
        queue_ns: From the first byte of a request to its run.
        rows: Rows that went through the model.
        runs: Runs of the model.
    """

    succeeded: int
    failed: int
    succeeded_ns: int
    failed_ns: int
    queued: int
    queue_ns: int
    rows: int
    runs: int

    @property
    def infer_ns(self) -> int:
        """What is left of the time of requests with 200 after they waited."""
        return max(0, self.succeeded_ns - self.queue_ns)


def request_figures(slots: Sequence[int]) -> RequestFigures:
    """The figures of a version.

    Args:
        slots: Its block, laid out as in `penstock.monitoring.metrics.layout`.
    """
    queue, rows = layout.QUEUE, layout.BATCH_ROWS
    succeeded, failed_ns = slots[_OK], slots[layout.FAILED_NANOSECONDS]
    return RequestFigures(
        succeeded,
        sum(slots[_STATUSES]) - succeeded,
        slots[layout.LATENCY.total] - failed_ns,
        failed_ns,
        sum(slots[queue.first : queue.total]),
        slots[queue.total],
        slots[rows.total],
        sum(slots[rows.first : rows.total]),
    )
