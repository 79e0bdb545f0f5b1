"""A closed window against its baseline: every feature compared, judged and described. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .dispersion import dispersion
from .rule import Level, Subject, grade
from .sample_comparison import compare
from .sensitivity import false_alarms_per_week, smallest_move, smallest_shift

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .baseline import Reference
    from .options import DriftOptions
    from .window import Window


@dataclass(frozen=True, slots=True)
class Assessment:
    """What a window says about one feature.

    Attributes:
        level: Clean, warn or critical, of this window alone.
        psi: Corrected for its bias.
        p: With the dispersion taken into account.
        moved: Largest change of the share of one bin.
        divergence: Jensen-Shannon distance.
        shift: Shift of the mean, in standard deviations of the baseline; 0 for categories.
        rows: Rows of the feature.
        dispersion: 1 is like independent rows.
        detectable: Smallest shift that one window like this flags in nine of ten: in standard
            deviations, or as a share of rows for categories; negative if there is none.
        output: Whether it is an output of the model.
        categorical: Whether its values are categories.
    """

    level: Level
    psi: float
    p: float
    moved: float
    divergence: float
    shift: float
    rows: int
    dispersion: float
    detectable: float
    output: bool
    categorical: bool

    def to_dict(self) -> dict[str, Any]:
        """For msgpack and JSON."""
        return {one: getattr(self, one) for one in self.__slots__}


def subjects_of(
    window: Window,
    references: Mapping[str, Reference],
    excesses: Mapping[str, float],
) -> dict[str, Subject]:
    """What a window tests.

    Args:
        window: Counts over the bins of the references.
        references: By name.
        excesses: Dispersion above 1 for each effective row, by name.
    """
    found = {}
    for name, reference in references.items():
        counts = window.counts.get(name)
        if counts is None:
            continue
        comparison = compare(reference.counts.tolist(), counts.tolist(), reference.bins.exceptional)
        found[name] = Subject(
            comparison,
            reference.output,
            reference.categorical,
            dispersion(excesses.get(name, 0.0), comparison.effective_rows),
        )
    return found


def assess(
    window: Window,
    references: Mapping[str, Reference],
    excesses: Mapping[str, float],
    options: DriftOptions,
) -> dict[str, Assessment]:
    """Judge every feature of a window that was closed."""
    subjects = subjects_of(window, references, excesses)
    found = {}
    for name, finding in grade(subjects, options).items():
        subject, reference = subjects[name], references[name]
        comparison = subject.comparison
        found[name] = Assessment(
            level=finding.level,
            psi=comparison.psi,
            p=finding.p_value,
            moved=comparison.moved,
            divergence=comparison.divergence,
            shift=_shift(window, name, reference),
            rows=comparison.rows,
            dispersion=subject.dispersion,
            detectable=_detectable(subject, reference, len(subjects), options),
            output=subject.output,
            categorical=subject.categorical,
        )
    return found


def expected_false_alarms(
    subjects: Mapping[str, Subject], window_seconds: float, options: DriftOptions
) -> float:
    """Episodes a week that windows like this would open by chance alone."""
    sizes = [(one.comparison.effective_rows, one.comparison.degrees) for one in subjects.values()]
    return false_alarms_per_week(sizes, window_seconds, options)


def _shift(window: Window, name: str, reference: Reference) -> float:
    now, before = window.moments.get(name), reference.moments
    if now is None or not now.number or not before.number or before.deviation <= 0:
        return 0.0
    return (now.mean - before.mean) / before.deviation


def _detectable(
    subject: Subject, reference: Reference, number: int, options: DriftOptions
) -> float:
    # Rounded, so that features of one window share the work of `smallest_shift`.
    rows, spread = float(round(subject.comparison.effective_rows)), round(subject.dispersion, 2)
    if not rows:
        return -1.0
    if subject.categorical:
        largest = max(reference.counts.tolist()) / max(1, reference.rows)
        found = smallest_move(round(largest, 3), rows, number, options, spread)
    else:
        found = smallest_shift(rows, number, options, spread)
    return found if found < float("inf") else -1.0
