"""Prometheus metrics of the versions that run now: defaults, aliases, states in the workers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from penstock.server.control.coordination.coordinator import Coordinator


class VersionMetrics(Collector):
    """Renders the present target and the workers' reports; collects in a thread of its own.

    Args:
        coordinator: Knows both.
    """

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator

    def describe(self) -> Iterator[Metric]:
        """Nothing: there is no need to look when the registry is built."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """All families."""
        default = GaugeMetricFamily(
            "penstock_version_default",
            "1 for the version that answers requests that name none.",
            labels=("model", "version"),
        )
        alias = GaugeMetricFamily(
            "penstock_version_alias",
            "1 for the version that a name points at.",
            labels=("model", "alias", "version"),
        )
        for name, plan in sorted(self._coordinator.planner.target.models.items()):
            if plan.default is not None:
                default.add_metric((name, str(plan.default)), 1)
            for one, version in sorted(plan.aliases.items()):
                alias.add_metric((name, one, str(version)), 1)
        workers = GaugeMetricFamily(
            "penstock_version_workers",
            "Workers in which the version is in this state.",
            labels=("model", "version", "state"),
        )
        states: Counter[tuple[str, str, str]] = Counter()
        fleet = list(self._coordinator.fleet.workers.values())
        for worker in fleet:
            states.update((one["name"], one["version"], one["state"]) for one in worker.models)
        for labels, count in sorted(states.items()):
            workers.add_metric(labels, count)
        memory = GaugeMetricFamily(
            "penstock_model_memory_bytes",
            "By how much the workers that serve the version grew while they loaded it, together.",
            labels=("model", "version"),
        )
        grown: Counter[tuple[str, str]] = Counter()
        for worker in fleet:
            for told in worker.models:
                if told["memory"] is not None:
                    grown[told["name"], told["version"]] += told["memory"]["measured_bytes"]
        for version_labels, size in sorted(grown.items()):
            memory.add_metric(version_labels, size)
        behind = GaugeMetricFamily(
            "penstock_workers_behind", "Workers that do not run the present target yet."
        )
        number = self._coordinator.planner.target.number
        behind.add_metric((), sum(one.target != number for one in fleet))
        yield from (default, alias, workers, memory, behind)
