"""The chi-square distribution, without SciPy: the server does not need 100 MB for one function.

Series and continued fraction of the incomplete gamma function (Abramowitz and Stegun 6.5.29 and
6.5.31); a test compares them with SciPy. Pure.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

_MOST_TERMS: Final = 10_000
_ENOUGH: Final = 1e-15
_TINY: Final = 1e-300


def survival(value: float, degrees: float) -> float:
    """Probability of more than `value`.

    Args:
        value: Of the statistic; below 0 counts as 0.
        degrees: Of freedom, above 0; may be fractional.
    """
    if value <= 0.0:
        return 1.0
    if math.isinf(value):
        return 0.0
    shape, half = degrees / 2, value / 2
    scale = math.exp(shape * math.log(half) - half - math.lgamma(shape))
    if half < shape + 1:
        return max(0.0, 1.0 - scale * _series(shape, half))
    return min(1.0, scale * _fraction(shape, half))


@lru_cache(maxsize=1024)
def quantile(probability: float, degrees: float) -> float:
    """The value that is exceeded with probability ``1 - probability``, by bisection."""
    low, high = 0.0, max(1.0, degrees)
    while survival(high, degrees) > 1 - probability:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        if survival(middle, degrees) > 1 - probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def shifted_survival(value: float, degrees: float, noncentrality: float) -> float:
    """Probability of more than `value` when there is a difference.

    Patnaik's two-moment approximation of the noncentral distribution; good to about 0.01 where it
    is used, for the power of a test.

    Args:
        value: Of the statistic.
        degrees: Of freedom.
        noncentrality: By how much the difference lifts the mean of the statistic.
    """
    mean, double = degrees + noncentrality, degrees + 2 * noncentrality
    return survival(value * mean / double, mean * mean / double)


def _series(shape: float, half: float) -> float:
    term = total = 1.0 / shape
    for step in range(1, _MOST_TERMS):
        term *= half / (shape + step)
        total += term
        if term < total * _ENOUGH:
            break
    return total


def _fraction(shape: float, half: float) -> float:
    """Lentz's algorithm."""
    b = half + 1.0 - shape
    c, d = 1.0 / _TINY, 1.0 / b
    total = d
    for step in range(1, _MOST_TERMS):
        a = -step * (step - shape)
        b += 2.0
        d = 1.0 / _away_from_zero(a * d + b)
        c = _away_from_zero(b + a / c)
        total *= c * d
        if abs(c * d - 1.0) < _ENOUGH:
            break
    return total


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
