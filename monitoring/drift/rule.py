"""Which features of a window are flagged. Pure.

A feature is flagged when its difference is significant *and* large. Significant means kept by
Benjamini and Hochberg's procedure over everything that the window tests, so that a window in which
nothing has changed flags anything with at most the stated rate, however many features it has. Half
of the rate is spent on the outputs, tested by themselves: what the model says shifts first
(Rabanser et al. 2018), and must not drown among a hundred inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .options import DriftOptions
    from .sample_comparison import Comparison


class Level(StrEnum):
    """What one window says about one feature."""

    CLEAN = "clean"
    WARN = "warn"
    #: Large, and as unlikely as two flagged windows: reported at once.
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Subject:
    """What is compared.

    Attributes:
        comparison: With the baseline.
        output: Whether it is one of the model's outputs.
        categorical: Whether its bins are categories.
        dispersion: How much its healthy windows vary; 1 is like independent rows.
    """

    comparison: Comparison
    output: bool
    categorical: bool
    dispersion: float = 1.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What the rule says about one subject.

    Attributes:
        level: Level of this window alone.
        p_value: With the dispersion taken into account.
        significant: Whether it was kept by the procedure, large or not.
    """

    level: Level
    p_value: float
    significant: bool


def grade(subjects: Mapping[str, Subject], options: DriftOptions) -> dict[str, Finding]:
    """Judge everything that a window tests.

    Args:
        subjects: By name.
        options: Rate and thresholds.
    """
    p_values = {name: one.comparison.p_value(one.dispersion) for name, one in subjects.items()}
    found: dict[str, Finding] = {}
    for output in (True, False):
        names = [name for name, one in subjects.items() if one.output is output]
        rate = share_of_rate(subjects, options.false_alarm_rate)
        kept = benjamini_hochberg([p_values[name] for name in names], rate)
        for name, significant in zip(names, kept, strict=True):
            level = Level.CLEAN
            if significant:
                # As unlikely as two flags in a row, all subjects counted.
                rare = p_values[name] * len(subjects) <= options.false_alarm_rate**2
                level = _level(subjects[name], options, rare=rare)
            found[name] = Finding(level, p_values[name], significant)
    return found


def share_of_rate(subjects: Mapping[str, Subject], rate: float) -> float:
    """What the outputs, or the inputs, may spend: half of it where there are both."""
    return rate / max(1, len({one.output for one in subjects.values()}))


def benjamini_hochberg(p_values: Sequence[float], rate: float) -> list[bool]:
    """Which p-values are kept at this false-discovery rate."""
    number = len(p_values)
    limit = 0.0
    for rank, value in enumerate(sorted(p_values), 1):
        if value <= rate * rank / number:
            limit = value
    # 0 is a p-value that floating point cannot tell from impossible.
    return [value <= limit and (limit > 0.0 or value == 0.0) for value in p_values]


def _level(subject: Subject, options: DriftOptions, *, rare: bool) -> Level:
    comparison = subject.comparison
    if comparison.psi > options.psi_critical and rare:
        return Level.CRITICAL
    large = comparison.psi > options.psi_warn
    if large or (subject.categorical and comparison.moved >= options.share_warn):
        return Level.WARN
    return Level.CLEAN
