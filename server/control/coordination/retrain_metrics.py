"""Retrainings as Prometheus metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from penstock.server.retrain.run import FINAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client import Metric

    from .retrainer import Retrainer


class RetrainMetrics(Collector):
    """Renders the runs of all models; collects in a thread of its own.

    Args:
        retrainers: By model.
    """

    def __init__(self, retrainers: Mapping[str, Retrainer]) -> None:
        self._retrainers = retrainers

    def describe(self) -> Iterator[Metric]:
        """Nothing: there is no need to look when the registry is built."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """All families; none where no retraining is configured."""
        if not self._retrainers:
            return
        ended = CounterMetricFamily(
            "penstock_retrainings", "Retrainings that have ended.", labels=("model", "result")
        )
        running = GaugeMetricFamily(
            "penstock_retraining_running", "1 while a retraining goes on.", labels=("model",)
        )
        begun = GaugeMetricFamily(
            "penstock_retraining_last_begin_timestamp_seconds",
            "When the last retraining was decided, Unix seconds.",
            labels=("model",),
        )
        for model, one in self._retrainers.items():
            known = one.runs.known
            for phase in sorted(FINAL):
                ended.add_metric((model, phase), known.counts.get(phase, 0))
            running.add_metric((model,), known.last is not None and not known.last.final)
            if known.last is not None:
                begun.add_metric((model,), known.last.decided_at)
        yield from (ended, running, begun)
