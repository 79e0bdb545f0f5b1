"""The smallest change that the rule sees, and its false alarms, for given windows. Pure.

Both follow from the rule by formula, not from history. Under no drift PSI times the effective rows
is chi-square (its degrees the bins less one). The power of a shift is the smaller of two: that the
significance test keeps it (noncentral chi-square), and that the PSI, normal with variance ``4 PSI /
effective rows``, is over its line; for a category, that its share moved far enough does as well.
The smallest shift is found by bisection: of the mean of a normal distribution cut in ten equal
bins, in standard deviations; or of rows from the largest category into a new one, as a share.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

from penstock.monitoring.probability import (
    chi_square_survival,
    chi_square_upper_quantile,
    noncentral_chi_square_survival,
)

from .rule import RELATION_SHARE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .options import DriftOptions
    from .rule import Subject

#: Probability with which a shift called detectable is flagged by one window.
POWER: Final = 0.9
_STEPS: Final = 40
_NORMAL: Final = NormalDist()
_BINS: Final = 10
_MOST_DEVIATIONS: Final = 8.0
WEEK_SECONDS: Final = 7 * 86_400.0


def false_alarms_per_week(
    subjects: Iterable[Subject], window_seconds: float, options: DriftOptions
) -> float:
    """Expected episodes a week when nothing has changed.

    Args:
        subjects: What a window tests.
        window_seconds: Between two windows.
        options: Rate and thresholds.
    """
    tested = [one for one in subjects if one.effective_rows > 0 and one.comparison.degrees > 0]
    if not tested or window_seconds <= 0:
        return 0.0
    single = options.false_alarm_rate / len(tested)
    expected = 0.0
    for one in tested:
        flagged, critical = _chance(one, options.psi_warn), _chance(one, options.psi_critical)
        if one.variations:
            critical = 0.0
        else:
            flagged, critical = (
                min(single, flagged),
                min(options.false_alarm_rate * single, critical),
            )
        # This one is flagged and one of the two before it, which may be alike.
        again = min(1.0, 2 * flagged + _both(one))
        expected += flagged * again + critical
    return expected * WEEK_SECONDS / window_seconds


def _chance(subject: Subject, line: float) -> float:
    """Probability that PSI is over a line by chance, or a window further than healthy ones."""
    if subject.variations:
        return max(one.chance if one.known else 0.0 for one in subject.variations.values())
    degrees, rows = float(subject.comparison.degrees), subject.effective_rows
    return chi_square_survival(line * rows + degrees, degrees)


def _both(subject: Subject) -> float:
    """Probability, roughly, that a neighbour of an extreme window is as extreme."""
    return max((one.memory for one in subject.variations.values()), default=0.0) ** 4


@lru_cache(maxsize=256)
def smallest_shift(
    rows: float, subjects: int, options: DriftOptions, dispersion: float = 1.0
) -> float:
    """Smallest shift of a mean, in standard deviations, flagged by one window in nine of ten.

    Args:
        rows: Effective rows.
        subjects: How many are tested.
        options: Rate and thresholds.
        dispersion: Dispersion of the feature.

    Returns:
        Infinity if not even a shift of eight is.
    """
    cuts = [_NORMAL.inv_cdf(step / _BINS) for step in range(1, _BINS)]

    def shares(shift: float) -> list[float]:
        below = [0.0, *(_NORMAL.cdf(cut - shift) for cut in cuts), 1.0]
        return [high - low for low, high in pairwise(below)]

    def power(shift: float) -> float:
        kept, large = _power(
            [1 / _BINS] * _BINS, shares(shift), rows, subjects, options, dispersion
        )
        return min(kept, large)

    return _bisect(power, _MOST_DEVIATIONS)


@lru_cache(maxsize=256)
def smallest_move(
    largest: float, rows: float, subjects: int, options: DriftOptions, dispersion: float = 1.0
) -> float:
    """Smallest share of all rows that a new category can take from the largest and be flagged.

    Args:
        largest: Share of the largest category.
        rows: Effective rows.
        subjects: How many are tested.
        options: Rate and thresholds.
        dispersion: Dispersion of the feature.
    """
    floor = 0.5 / max(rows, 1.0)

    def power(move: float) -> float:
        after = [largest - move + floor, 1 - largest + floor, move + floor]
        before = [largest + floor, 1 - largest + floor, floor]
        kept, large = _power(before, after, rows, subjects, options, dispersion)
        spread = math.sqrt(max(move * (1 - move), floor) / max(rows, 1.0))
        return min(kept, max(large, _NORMAL.cdf((move - options.share_warn) / spread)))

    return _bisect(power, largest)


def _power(
    before: list[float],
    after: list[float],
    rows: float,
    subjects: int,
    options: DriftOptions,
    dispersion: float,
) -> tuple[float, float]:
    """Probability that the test keeps it, and that its PSI is over the line."""
    degrees = len(before) - 1
    psi = sum(
        (new - old) * math.log(max(new, 1e-9) / max(old, 1e-9))
        for old, new in zip(before, after, strict=True)
    )
    away = sum((new - old) ** 2 / ((new + old) / 2) for old, new in zip(before, after, strict=True))
    level = (1 - RELATION_SHARE) * options.false_alarm_rate / 2 / max(1, subjects)
    line = chi_square_upper_quantile(level, degrees)
    kept = noncentral_chi_square_survival(line, degrees, rows * away / dispersion)
    spread = math.sqrt(4 * psi / rows) if psi > 0 else 0.0
    large = _NORMAL.cdf((psi - options.psi_warn) / spread) if spread else 0.0
    return kept, large


def _bisect(power: Callable[[float], float], most: float) -> float:
    if power(most) < POWER:
        return math.inf
    low, high = 0.0, most
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if power(middle) < POWER:
            low = middle
        else:
            high = middle
    return high
