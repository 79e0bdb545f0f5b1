"""A closed window against its baseline: every feature compared, judged and described. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .rule import Level, Subject, grade
from .sample_comparison import compare
from .sensitivity import smallest_move, smallest_shift

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .baseline import Reference
    from .options import DriftOptions
    from .variation import Variations
    from .window import Window


@dataclass(frozen=True, slots=True)
class Assessment:
    """The assessment of one feature in one window.

    Attributes:
        level: Clean, small, warn or critical, of this window alone.
        psi: Corrected for its bias.
        p: With the variation of healthy windows taken into account.
        moved: Largest change of the share of one bin.
        divergence: Jensen-Shannon distance.
        shift: Shift of the mean, in standard deviations of the baseline; 0 for categories.
        rows: Rows of the feature.
        dispersion: By how much chi-square is larger in healthy windows; 1 is by chance.
        detectable: Smallest shift that one window like this flags in nine of ten: in standard
            deviations, or as a share of rows for categories; negative if there is none.
        output: Whether it is an output of the model.
        categorical: Whether its values are categories.
        columns: Of a relation, the two columns; empty for a feature. `moved` is then the change of
            their correlation, and `psi` the divergence of normal pairs that differ by it.
        correlations: Of a relation, the correlation in healthy windows and now.
        others: Of a relation, further pairs that changed.
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
    columns: tuple[str, ...] = ()
    correlations: tuple[float, ...] = ()
    others: tuple[tuple[str, str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For msgpack and JSON."""
        return {one: getattr(self, one) for one in self.__slots__}


def subjects_of(
    window: Window,
    references: Mapping[str, Reference],
    variations: Mapping[str, Variations],
) -> dict[str, Subject]:
    """The subjects that are tested in one window.

    Args:
        window: Counts over the bins of the references.
        references: By name.
        variations: How much healthy windows vary, by name.
    """
    found = {}
    for name, reference in references.items():
        counts = window.counts.get(name)
        if counts is None:
            continue
        bins = reference.bins
        found[name] = Subject(
            compare(reference.counts.tolist(), counts.tolist(), bins.exceptional, bins.ordered),
            reference.output,
            reference.categorical,
            variations.get(name, {}),
        )
    return found


def assess(
    window: Window,
    subjects: Mapping[str, Subject],
    references: Mapping[str, Reference],
    options: DriftOptions,
) -> dict[str, Assessment]:
    """Judge every feature of a window that was closed; `subjects` are those of the window."""
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
