"""The metrics of shadows. Only versions that were ever a shadow have these series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from . import layout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from .merge import Merged

_LABELS: Final = ("model", "version")
_COUNTERS: Final = (
    (
        layout.SHADOW_COPIED,
        "penstock_shadow_copied",
        "Requests that were chosen to be copied to this shadow.",
    ),
    (
        layout.SHADOW_DROPPED,
        "penstock_shadow_dropped",
        "Of those, not computed for want of time or room.",
    ),
    (
        layout.SHADOW_DROPPED_ROWS,
        "penstock_shadow_dropped_rows",
        "Rows of the requests that were not computed.",
    ),
    (
        layout.PAIRS,
        "penstock_shadow_pairs",
        "Requests that the shadow computed, too, or failed at.",
    ),
    (
        layout.DISAGREEMENTS,
        "penstock_shadow_disagreements",
        "Of those, answered otherwise, or failed at.",
    ),
    (layout.SHADOW_ERRORS, "penstock_shadow_errors", "Of those, failed at."),
    (
        layout.SHADOW_INVALID,
        "penstock_shadow_invalid",
        "Of those, answered with NaN or infinity in place of a number.",
    ),
)


def shadows(merged: Merged) -> Iterator[Metric]:
    """Counters of what was copied and what came of it, and how long the candidate takes."""
    candidates = [
        (labels, slots)
        for labels, slots in sorted(merged.blocks.items())
        if any(slots[layout.SHADOW_COPIED : layout.PRIMARY_CPU_NANOSECONDS + 1])
    ]
    for slot, name, text in _COUNTERS:
        family = CounterMetricFamily(name, text, labels=_LABELS)
        for labels, slots in candidates:
            family.add_metric(labels, slots[slot])
        yield family
    ratio = GaugeMetricFamily(
        "penstock_shadow_cpu_ratio",
        "Processor time of the shadow for a batch, over that of the default version.",
        labels=_LABELS,
    )
    for labels, slots in candidates:
        other = slots[layout.PRIMARY_CPU_NANOSECONDS]
        if other:
            ratio.add_metric(labels, slots[layout.SHADOW_CPU_NANOSECONDS] / other)
    yield ratio
