"""The metrics of the prediction log and of the monitor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from . import layout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from .merge import Merged

_LABELS = ("model", "version")
MONITOR = "monitor"


def prediction_log(merged: Merged) -> Iterator[Metric]:
    """Rows written, dropped and lost, the size of the log, and how far the monitor is behind."""
    written = CounterMetricFamily(
        "penstock_log_rows_written", "Rows in the prediction log.", labels=_LABELS
    )
    dropped = CounterMetricFamily(
        "penstock_log_rows_dropped",
        "Rows that reached the monitor and were not written, by reason.",
        labels=[*_LABELS, "reason"],
    )
    lost = CounterMetricFamily(
        "penstock_log_rows_lost",
        "Sampled rows that were gone with a worker that was killed.",
        labels=_LABELS,
    )
    for labels, slots in sorted(merged.blocks.items()):
        if not labels[1]:
            continue  # not a model
        written.add_metric(labels, slots[layout.LOG_WRITTEN])
        lost.add_metric(labels, slots[layout.LOG_LOST])
        for index, reason in enumerate(layout.LOG_DROP_REASONS):
            if slots[layout.LOG_DROPPED + index]:
                dropped.add_metric([*labels, reason], slots[layout.LOG_DROPPED + index])
    yield from (written, dropped, lost)
    size = GaugeMetricFamily("penstock_log_bytes", "Files of the prediction log together.")
    lag = GaugeMetricFamily(
        "penstock_monitor_lag_seconds",
        "Age of the oldest sample that the monitor took last, when it was kept.",
    )
    for one in merged.live:
        if one.process == MONITOR:
            size.add_metric([], one.gauges[layout.LOG_BYTES])
            lag.add_metric([], one.gauges[layout.MONITOR_LAG_NANOSECONDS] * 1e-9)
    yield from (size, lag)
