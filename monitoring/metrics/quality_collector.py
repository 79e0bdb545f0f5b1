"""Faults of fields as Prometheus metric families."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily

from penstock.monitoring.quality.field_counters import DECLARED_SLOTS, LABELS, LEARNT_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from .merge import Merged


def quality_families(merged: Merged) -> Iterator[Metric]:
    """One series for each field, kind and action that ever occurred."""
    family = CounterMetricFamily(
        "penstock_quality",
        "Values that are not what model.toml declares of their field.",
        labels=["model", "version", "field", "kind", "action"],
    )
    learnt = CounterMetricFamily(
        "penstock_quality_learnt",
        "Rows that were looked at, and are not what the baseline teaches of their field.",
        labels=["model", "version", "field", "kind"],
    )
    for labels, slots in sorted(merged.fields.items()):
        for (kind, action), count in zip(LABELS, slots, strict=False):
            if count:
                family.add_metric([*labels, kind, action], count)
        for kind, count in zip(LEARNT_KINDS, slots[DECLARED_SLOTS:], strict=False):
            if count:
                learnt.add_metric([*labels, kind], count)
    yield from (family, learnt)
