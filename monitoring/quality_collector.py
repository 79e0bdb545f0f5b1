"""Faults of declared fields as a Prometheus metric family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily

from .field_counters import LABELS

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
    for labels, slots in sorted(merged.fields.items()):
        for (kind, action), count in zip(LABELS, slots, strict=False):
            if count:
                family.add_metric([*labels, kind, action], count)
    yield family
