"""95 % intervals that hold for skewed losses, rare classes, and rows that come in units.

A unit is what rows come in: a user, or a request of many rows. Rows of one unit resemble each
other, so the interval rests on the spread between units, not between rows (Taylor linearisation, as
in surveys). Where the rows are too few, or a few of them decide the figure, no interval is stated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .likeness import design_effect
from .tail import upper_tail

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .outputs import Floats
    from .tail import Tail

    #: The number of the unit of each row, from 0; ``None`` where each row is a unit by itself.
    Units = NDArray[np.int64] | None

#: Standard normal quantile of a two-sided 95 % interval.
Z: Final = 1.959964
#: Fewer units have no interval.
FEWEST_UNITS: Final = 20
#: Fewer positives, or negatives, have no interval of an area.
FEWEST_RANKED: Final = 30
#: Fewer have no interval of a mean loss: a loss that one row in a hundred has may be missing.
FEWEST_LOSSES: Final = 500
#: Fewer have no interval of a root mean square without a known largest error: an error that comes
#: once in 500 rows, and is 50 times the usual one, may be missing, and makes it six times as large.
FEWEST_SQUARES: Final = 1000
#: As many rows as the sample has may have missed so many (the rule of three, J. Hanley and
#: A. Lippman-Hand, "If nothing goes wrong, is everything all right?", 1983).
MISSED: Final = 3.0
#: How many times the largest loss that was seen a loss may be that was missed.
LARGER: Final = 10.0
#: A mean of losses with a tail of a larger shape has no interval: its variance is infinite, or
#: nearly so, and losses that have not been seen yet decide it.
HEAVIEST: Final = 0.45
#: A count of hits is followed a quarter of a row beyond Wilson's ends. So at least 93.7 % of the
#: intervals hold for any share and any number of trials, where 89 % may hold without it.
_BEYOND: Final = 0.25
#: Half the 0.95 quantile of chi-square with 2, 4 and 6 degrees of freedom, at its lower end.
_RARE: Final = {1: 0.0513, 2: 0.3554, 3: 0.8177}
_CUBE: Final = 3


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95 % interval; no ends where too few rows are known to say.

    Attributes:
        value: The figure.
        low: Lower end.
        high: Upper end.
        up_to: The interval holds as long as no loss is larger than this, however rare such a loss
            is; ``None`` if losses have a limit of their own, or without ends.
    """

    value: float
    low: float | None = None
    high: float | None = None
    up_to: float | None = None


def count_units(units: Units, rows: int) -> int:
    """How many units there are."""
    return rows if units is None else int(np.count_nonzero(np.bincount(units)))


def by_unit(values: Floats, units: Units) -> Floats:
    """The sum of each unit."""
    if units is None:
        return values
    found: Floats = np.bincount(units, values).astype(float)
    return found


def student(degrees: float) -> float:
    """The 0.975 quantile of Student's t (Cornish and Fisher's expansion; 1 % off at 5 degrees)."""
    z, n = Z, max(1.0, degrees)
    one = (z**3 + z) / (4 * n)
    two = (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
    three = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    return z + one + two + three


def mean(
    values: Floats, units: Units = None, largest: float | None = None, *, signed: bool = False
) -> Estimate | None:
    """A mean, by Hall's transformation of Student's t, which follows the skew of the values.

    Each end is no nearer than by Student's t itself, and reaches as far as the tail on its side may
    go beyond the sample, by `upper_tail`. Where the variance of such a tail is infinite, or nearly
    so, nothing is stated. Beyond that, the upper end allows for `MISSED` units of values as large
    as the largest possible one.
    Source: P. Hall, "On the removal of skewness by transformation", JRSS B 54 (1992).

    Args:
        values: Numbers, at least one.
        units: Of each value.
        largest: Largest absolute value that is possible; by default `LARGER` times the largest one
            that was seen, or that itself where all values are equal.
        signed: Values may be below 0, too: the lower end also allows for missed units.
    """
    rows = len(values)
    if not rows:
        return None
    value = float(values.mean())
    deviations, worth = _deviations(values, np.ones(rows), value, units)
    count = len(deviations)
    squares = float((deviations**2).sum())
    if count < FEWEST_LOSSES:
        return Estimate(value)
    low = high = 0.0
    if squares:
        tails = upper_tail(-deviations), upper_tail(deviations)
        if any(one is None or one.shape > HEAVIEST for one in tails):
            return Estimate(value)
        skew = float((deviations**_CUBE).sum()) / squares**1.5  # skewness / sqrt(count)
        spread = math.sqrt(squares * count / (count - 1)) / rows
        t = student(worth - 1)
        low, high = (
            _reach(spread * max(t, abs(_bent(end, skew))), tail, count / rows)
            for end, tail in zip((t, -t), tails, strict=True)
        )
    seen = float(np.abs(values).max())
    least = LARGER * seen if squares else seen
    up_to = least if largest is None else max(largest, seen)
    missed = MISSED / worth
    if signed:
        low += missed * (up_to + value)
    return Estimate(value, value - low, value + high + missed * (up_to - value), up_to)


def _reach(half: float, tail: Tail | None, factor: float) -> float:
    """How far an end is from the mean: by the bulk of the sample, and by its tail.

    Args:
        half: Distance of the end by the sample alone.
        tail: On this side.
        factor: Units for each row.
    """
    assert tail is not None
    shown, unseen = (factor * tail.part * one for one in (Z * tail.known, tail.unseen))
    return math.sqrt(max(0.0, half**2 - shown**2) + max(shown, unseen) ** 2)


def _deviations(hits: Floats, trials: Floats, value: float, units: Units) -> tuple[Floats, float]:
    """How much each unit adds to ``sum(hits) - value * sum(trials)``, and how many units there are.

    A unit with a large part of all trials draws `value` towards itself; its deviation is that from
    the value of the others (the jackknife). So many units of equal size are worth as much as those
    (L. Kish, "Survey sampling", 1965).
    """
    if units is None:
        return hits - value * trials, len(hits)
    sizes = by_unit(trials, units)
    known = sizes > 0
    parts = sizes[known] / sizes.sum()
    found: Floats = by_unit(hits - value * trials, units)[known] / np.maximum(1 - parts, 0.5)
    return found, 1 / float((parts**2).sum())


def _bent(t: float, skew: float) -> float:
    """The inverse of Hall's transformation of a studentised mean."""
    if abs(skew) < 1e-6:  # noqa: PLR2004  the limit is t itself
        return t
    inner = 1 + skew * (t - skew / 6)
    return 3 / skew * (math.copysign(abs(inner) ** (1 / 3), inner) - 1)


def root_mean_square(
    values: Floats, units: Units = None, largest: float | None = None
) -> Estimate | None:
    """A root of a mean square: the interval of the mean square, taken to the root.

    Args:
        values: Numbers.
        units: Of each.
        largest: Largest absolute value that is possible, as in `mean`.
    """
    up_to, sizes = largest, np.abs(values)
    if largest is None and len(sizes) and sizes.min() < sizes.max():
        up_to = LARGER * float(sizes.max())
    inner = mean(values * values, units, None if up_to is None else up_to**2)
    if inner is None:
        return None
    few = largest is None and count_units(units, len(values)) < FEWEST_SQUARES
    if inner.low is None or inner.high is None or (few and inner.low < inner.high):
        return Estimate(math.sqrt(inner.value))
    value, low, high = (math.sqrt(max(0.0, one)) for one in (inner.value, inner.low, inner.high))
    return Estimate(value, low, high, None if inner.up_to is None else math.sqrt(inner.up_to))


def share(hits: Floats, trials: Floats, units: Units = None) -> Estimate | None:
    """``sum(hits) / sum(trials)``, by Wilson's score interval of as many trials as units are worth.

    That number follows from the spread between units, or from how alike the rows of a unit are
    (`design_effect`): from that which leaves fewer. Near 0 and 1 the ends are those of a Poisson
    count, so that rare classes are covered, too (L. Brown, T. Cai, A. DasGupta, "Interval
    estimation for a binomial proportion", 2001).

    Args:
        hits: 1 or 0 of each row.
        trials: 1 where the row is one, 0 where not; `hits` are among them.
        units: Of each row.
    """
    count, right = float(trials.sum()), float(hits.sum())
    if count <= 0:
        return None
    value = right / count
    if units is None:
        return wilson(right, count)
    deviations, worth = _deviations(hits, trials, value, units)
    if worth > count - 0.5:  # a row a unit
        return wilson(right, count)
    if worth < FEWEST_UNITS:
        return Estimate(value)
    plain = value * (1 - value) * count
    if not plain:
        return wilson(value * worth, worth)
    sums = (by_unit(one, units) for one in (hits, trials))
    alike = design_effect(*(one[by_unit(trials, units) > 0] for one in sums))
    effect = max(1.0, float((deviations**2).sum()) / plain, alike)
    effect *= (student(worth - 1) / Z) ** 2
    return wilson(right / effect, count / effect)


def wilson(hits: float, trials: float) -> Estimate | None:
    """A share of independent trials; see `share`."""
    if trials <= 0:
        return None
    value = hits / trials
    low = 0.0 if hits <= 0 else _wilson_end(max(0.0, hits - _BEYOND), trials, -Z)
    high = 1.0 if hits >= trials else _wilson_end(min(trials, hits + _BEYOND), trials, Z)
    few, many = round(hits), round(trials - hits)
    if few in _RARE:
        low = min(low, _RARE[few] / trials)
    if many in _RARE:
        high = max(high, 1 - _RARE[many] / trials)
    return Estimate(value, low, high)


def _wilson_end(hits: float, trials: float, quantile: float) -> float:
    value, wide = hits / trials, quantile**2 / trials
    half = quantile * math.sqrt(value * (1 - value) / trials + wide / (4 * trials))
    return min(1.0, max(0.0, (value + wide / 2 + half) / (1 + wide)))


def through_logit(value: float, error: float, units: int) -> Estimate:
    """A figure between 0 and 1 with this standard error, by way of its logit.

    Args:
        value: The figure.
        error: Its standard error.
        units: That it rests on.
    """
    if units < FEWEST_RANKED or not 0 < value < 1 or not error:
        return Estimate(value)
    middle = math.log(value / (1 - value))
    half = student(units - 1) * error / (value * (1 - value))
    low, high = (1 / (1 + math.exp(-one)) for one in (middle - half, middle + half))
    return Estimate(value, low, high)


def f1(hits: Floats, predicted: Floats, actual: Floats, units: Units = None) -> Estimate | None:
    """F1 = 2 hits / (predicted + actual), by way of F1 / (2 - F1).

    That ratio is hits / (hits + misses + false ones), an ordinary share: its interval is carried
    back.
    """
    inner = share(hits, np.maximum(predicted, actual), units)
    if inner is None:
        return None
    return Estimate(*(None if one is None else 2 * one / (1 + one) for one in _parts(inner)))  # type: ignore[arg-type]


def _parts(found: Estimate) -> tuple[Any, ...]:
    return found.value, found.low, found.high
