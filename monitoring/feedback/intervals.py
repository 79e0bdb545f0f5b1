"""95 % intervals: Wilson's for shares, normal ones for means, Hanley and McNeil's for an AUC."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

#: Standard normal quantile of a two-sided 95 % interval.
Z: Final = 1.959964


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95 % interval; both ends are the figure's own where nothing is known."""

    value: float
    low: float
    high: float


def wilson(hits: float, trials: float) -> Estimate | None:
    """A share, by Wilson's score interval; good for few trials and for shares near 0 or 1."""
    if trials <= 0:
        return None
    share = hits / trials
    spread = Z * Z / trials
    middle = (share + spread / 2) / (1 + spread)
    half = Z / (1 + spread) * math.sqrt(share * (1 - share) / trials + spread / (4 * trials))
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half))


def mean(total: float, squares: float, count: int) -> Estimate | None:
    """A mean of `count` numbers, from their sum and the sum of their squares; normal interval."""
    if not count:
        return None
    value = total / count
    variance = max(0.0, squares / count - value * value)
    half = Z * math.sqrt(variance / count)
    return Estimate(value, value - half, value + half)


def root_mean_square(squares: float, fourths: float, count: int) -> Estimate | None:
    """A root of a mean square: the interval of the mean square, taken to the root."""
    inner = mean(squares, fourths, count)
    if inner is None:
        return None
    ends = (math.sqrt(max(0.0, one)) for one in (inner.value, inner.low, inner.high))
    return Estimate(*ends)


def area(value: float, positives: float, negatives: float) -> Estimate:
    """An AUC, by the formula of Hanley and McNeil (1982)."""
    one = value / (2 - value)
    two = 2 * value * value / (1 + value)
    variance = (
        value * (1 - value)
        + (positives - 1) * (one - value * value)
        + (negatives - 1) * (two - value * value)
    ) / (positives * negatives)
    half = Z * math.sqrt(max(0.0, variance))
    return Estimate(value, max(0.0, value - half), min(1.0, value + half))


def f1(hits: float, predicted: float, actual: float) -> Estimate | None:
    """F1 = 2 hits / (predicted + actual), by way of F1 / (2 - F1).

    That ratio is hits / (hits + misses + false ones), an ordinary share: its Wilson interval is
    carried back.
    """
    inner = wilson(hits, predicted + actual - hits)
    if inner is None:
        return None
    back = (2 * one / (1 + one) for one in (inner.value, inner.low, inner.high))
    return Estimate(*back)
