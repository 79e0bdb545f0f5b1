"""Alerts as Prometheus metrics; the alert store is read when it has changed."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from .reading import Counts, read_counts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prometheus_client import Metric


class AlertsCollector(Collector):
    """Open episodes and deliveries, and the objective that rules compare with.

    Args:
        path: File of the alert store.
        objective: Share of requests that are to be answered; 0 for none.
    """

    def __init__(self, path: Path, objective: float) -> None:
        self._path = path
        self._objective = objective

    def describe(self) -> Iterator[Metric]:
        """Describe nothing: the registry must not read the file when it is built."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The families of metrics of all alerts."""
        try:
            counts = read_counts(self._path)
        except sqlite3.Error:
            counts = Counts({}, {})  # a scrape must not fail for it
        open_ = GaugeMetricFamily(
            "penstock_alerts_open",
            "Episodes that are not over.",
            labels=("kind", "model", "severity"),
        )
        for labels, count in counts.open.items():
            open_.add_metric(labels, count)
        yield open_
        deliveries = GaugeMetricFamily(
            "penstock_alert_deliveries",
            "Alerts on record by how telling the sink went.",
            labels=("sink", "status"),
        )
        for sink_and_status, count in counts.deliveries.items():
            deliveries.add_metric(sink_and_status, count)
        yield deliveries
        objective = GaugeMetricFamily(
            "penstock_slo_objective_ratio", "Share of requests that are to be answered."
        )
        if self._objective:
            objective.add_metric((), self._objective)
        yield objective
