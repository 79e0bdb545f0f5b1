"""The rule that finds drifted segments and a changed mix of segments. Pure.

A segment is compared with its own baseline, feature by feature. Its p-value is the least of its
features, times their number; outputs and inputs have half of the rate each. The mix of each field
is one more test. Holm's procedure over all segments and mixes that a window tests keeps the
probability of any false result at the false-alarm rate of the model. A shift of the mix moves the
figures of all traffic, and nothing within a segment: it is named as such.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.monitoring.multiple_tests import holm

from .assessment import Assessment
from .rule import Level, Subject
from .sample_comparison import compare

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .baseline import Reference
    from .options import DriftOptions
    from .segment_window import SegmentWindow
    from .variation import Variations


@dataclass(frozen=True, slots=True)
class SegmentFinding:
    """The result of a window for one segment, or for the mix of one field.

    Attributes:
        feature: The feature that differs most; empty for a mix.
        p: By Holm's procedure.
        assessment: Of that feature; of a mix, of the shares of its segments.
    """

    feature: str
    p: float
    assessment: Assessment


def assess_segments(
    baselines: Mapping[str, SegmentWindow],
    windows: Mapping[str, SegmentWindow],
    mixes: Mapping[str, tuple[list[int], list[int]]],
    references: Mapping[str, Reference],
    variations: Mapping[str, Variations],
    options: DriftOptions,
) -> dict[str, SegmentFinding]:
    """Judge all segments and mixes that are tested together.

    Args:
        baselines: By name of the segment, its own baseline.
        windows: By name, the rows that are tested; each has a baseline.
        mixes: By field, rows of each segment in the baseline and in the window.
        references: Features that are tested, by name: their bins are those of all counts.
        variations: How much healthy windows of all traffic vary, by feature.
        options: Rate and thresholds.

    Returns:
        By name of the segment, and by field for its mix.
    """
    found: dict[str, tuple[str, Subject, float]] = {}
    for name, window in windows.items():
        worst = _worst(baselines[name], window, references, variations)
        if worst is not None:
            found[name] = worst
    for field, (before, now) in mixes.items():
        subject = Subject(compare(before, now, [False] * len(now)), output=False, categorical=True)
        found[field] = "", subject, subject.p_value
    adjusted = holm([p for _, _, p in found.values()])
    return {
        name: SegmentFinding(feature, p, _assessment(subject, p, options))
        for (name, (feature, subject, _)), p in zip(found.items(), adjusted, strict=True)
    }


def _worst(
    baseline: SegmentWindow,
    window: SegmentWindow,
    references: Mapping[str, Reference],
    variations: Mapping[str, Variations],
) -> tuple[str, Subject, float] | None:
    """The feature that differs most, and the p-value of the segment."""
    subjects = {}
    for name, reference in references.items():
        before, now = baseline.counts.get(name), window.counts.get(name)
        if before is not None and now is not None and before.shape == now.shape:
            bins = reference.bins
            subjects[name] = Subject(
                compare(before.tolist(), now.tolist(), bins.exceptional, bins.ordered),
                reference.output,
                reference.categorical,
                variations.get(name, {}),
            )
    if not subjects:
        return None
    sizes = {one.group: 0 for one in subjects.values()}
    for one in subjects.values():
        sizes[one.group] += 1
    values = {
        name: min(1.0, one.p_value * sizes[one.group] * len(sizes))
        for name, one in subjects.items()
    }
    worst = min(values, key=lambda name: (values[name], -subjects[name].comparison.psi))
    return worst, subjects[worst], values[worst]


def _assessment(subject: Subject, p: float, options: DriftOptions) -> Assessment:
    comparison = subject.comparison
    level = Level.CLEAN
    if p <= options.false_alarm_rate:
        level = Level.SMALL
        if comparison.psi > options.psi_critical and p <= options.false_alarm_rate**2:
            level = Level.CRITICAL
        elif comparison.psi > options.psi_warn or (
            subject.categorical and comparison.moved >= options.share_warn
        ):
            level = Level.WARN
    return Assessment(
        level=level,
        psi=comparison.psi,
        p=p,
        moved=comparison.moved,
        divergence=comparison.divergence,
        shift=0.0,
        rows=comparison.rows,
        dispersion=subject.dispersion,
        detectable=-1.0,
        output=subject.output,
        categorical=True,
    )
