"""Prometheus metrics of the batch jobs of the server."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from penstock.server.batch_queue.state import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from penstock.server.batch_queue.queue import JobQueue


class BatchMetrics(Collector):
    """Renders the queue; collects in a thread of its own.

    Args:
        queue: Keeps the jobs.
    """

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue

    def describe(self) -> Iterator[Metric]:
        """Nothing: there is no need to look when the registry is built."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """All families. `penstock_batches_total` are runs of models: the name is taken."""
        jobs = GaugeMetricFamily(
            "penstock_batch_jobs", "Batch jobs that are remembered.", labels=("state",)
        )
        counts = Counter(one.state for one in self._queue.records)
        for state in State:
            jobs.add_metric((state,), counts[state])
        rows = CounterMetricFamily(
            "penstock_batch_job_rows", "Rows of batch jobs.", labels=("model", "result")
        )
        for labels, count in sorted(self._queue.rows.items()):
            rows.add_metric(labels, count)
        yield from (jobs, rows)
