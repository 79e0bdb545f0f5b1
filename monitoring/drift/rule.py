"""The rule that flags features of a window. Pure.

A feature has *changed* when its difference is significant, and is *flagged* when it is large, too.
Significant means kept by Benjamini and Hochberg's procedure over everything that the window tests,
so that a window in which nothing has changed says so of anything with at most the stated rate,
however many features it has. A tenth of the rate is for the relations of columns (see `relations`),
half of the rest is spent on the outputs, tested by themselves: what the model says shifts first
(Rabanser et al. 2018), and must not drown among a hundred inputs.

The noise of the baseline is the same in all of its windows: one that is unlucky would differ from
each of them. So a p-value counts times ``1 + m/N``: windows of many rows must be less likely.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from .components import ALL, CATEGORY_SHARES, NUMBER_SHARES
from .variation import p_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .options import DriftOptions
    from .sample_comparison import Comparison
    from .variation import Variation


#: Share of the rate of a window that the relations of columns may spend.
RELATION_SHARE: Final = 0.1


class Level(StrEnum):
    """The result of one window for one feature."""

    CLEAN = "clean"
    #: Changed, but not by much: said, and no alarm.
    SMALL = "small"
    WARN = "warn"
    #: Large, and as unlikely as two flagged windows: reported at once.
    CRITICAL = "critical"

    @property
    def flagged(self) -> bool:
        """True if the level counts towards an episode."""
        return self in {Level.WARN, Level.CRITICAL}


@dataclass(frozen=True, slots=True)
class Subject:
    """A subject of the rule: a feature, an output, or the relations, with its comparison.

    Attributes:
        comparison: The comparison of the window with the baseline.
        output: Whether the subject is an output of the model.
        categorical: Whether its bins are categories.
        variations: The variation of its healthy windows; empty stands for independent rows.
    """

    comparison: Comparison
    output: bool
    categorical: bool
    variations: Mapping[str, Variation] = field(default_factory=dict)

    @property
    def group(self) -> str:
        """Subjects of one group share a part of the rate."""
        return "output" if self.output else "input"

    @property
    def effective_rows(self) -> float:
        """The effective number of rows of window and baseline together."""
        return self.comparison.effective_rows

    @property
    def dispersion(self) -> float:
        """By how much chi-square over all bins is larger in healthy windows; 1 is by chance."""
        one = self.variations.get(ALL)
        if one is None or not self.comparison.degrees:
            return 1.0
        return one.inflation(self.comparison.degrees, self.effective_rows)

    @property
    def p_value(self) -> float:
        """Probability of a difference like this when nothing has changed."""
        tests = self.comparison.tests
        shares = CATEGORY_SHARES if self.categorical else NUMBER_SHARES
        total = sum(shares[name] for name in tests if name in shares)
        found = 1.0
        for name, one in tests.items():
            if name in shares:
                p = p_value(name, one, self.effective_rows, self.variations)
                found = min(found, p * total / shares[name])
        effective = self.effective_rows
        if not effective:
            return 1.0
        # rows / effective is 1 + m/N.
        return min(1.0, found * max(1.0, self.comparison.rows / effective))


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict of the rule on one subject.

    Attributes:
        level: Level of this window alone.
        p_value: With the variation of healthy windows taken into account.
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
    p_values = {name: one.p_value for name, one in subjects.items()}
    rate = share_of_rate(subjects, options.false_alarm_rate)
    found: dict[str, Finding] = {}
    for group in sorted({one.group for one in subjects.values()}):
        names = [name for name, one in subjects.items() if one.group == group]
        kept = benjamini_hochberg([p_values[name] for name in names], rate)
        for name, significant in zip(names, kept, strict=True):
            level = Level.CLEAN
            if significant:
                # As unlikely as two flags in a row, all subjects counted.
                rare = p_values[name] * len(subjects) <= options.false_alarm_rate**2
                # Of windows that vary, the far tail is a guess: two of them must agree.
                rare = rare and not any(
                    not one.recurs for one in subjects[name].variations.values()
                )
                level = _level(subjects[name], options, rare=rare)
            found[name] = Finding(level, p_values[name], significant)
    return {name: found[name] for name in subjects}


def share_of_rate(subjects: Mapping[str, Subject], rate: float) -> float:
    """The part of the false-alarm rate of one group; each group has the same part."""
    return (1 - RELATION_SHARE) * rate / max(1, len({one.group for one in subjects.values()}))


def level_of(p: float, psi: float, share: float, options: DriftOptions) -> Level:
    """The level of one test that stands for many.

    Args:
        p: For all of them together.
        psi: How large the change is.
        share: Share of the rate of a window that it may spend.
        options: Rate and thresholds.
    """
    rate = share * options.false_alarm_rate
    if p > rate:
        return Level.CLEAN
    if psi > options.psi_critical and p <= rate * options.false_alarm_rate:
        return Level.CRITICAL
    return Level.WARN if psi > options.psi_warn else Level.SMALL


def benjamini_hochberg(p_values: Sequence[float], rate: float) -> list[bool]:
    """A mask of the p-values that are kept at a false-discovery rate."""
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
    return Level.SMALL
