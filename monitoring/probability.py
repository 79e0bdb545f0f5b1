"""Probabilities of standard distributions, computed by SciPy: the only place that imports it.

SciPy is in the extra ``monitor``. It takes 0.3 s to load and 25 MB of memory, so it is loaded by
the first call: in the monitor process when the first window is compared, never in a worker.
"""

from __future__ import annotations

from functools import cache, lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .distribution import install_command

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Variances below which nothing can be learnt of their centre.
_LEAST_VARIANCES: Final = 10
_NEWTON_STEPS: Final = 20
#: A relative step that is too small to be worth another one: Newton's steps square it.
_NEWTON_ENDS: Final = 1e-9


def is_available() -> bool:
    """True if SciPy is installed; does not load it."""
    return find_spec("scipy") is not None


def what_to_install() -> str:
    """A sentence with the missing library and the command that installs it."""
    return f"SciPy is not installed; run: {install_command('monitor')}"


def chi_square_survival(value: float, degrees: float) -> float:
    """Probability that a chi-square variable is above `value`.

    Args:
        value: Value of the statistic; below 0 counts as 0.
        degrees: Degrees of freedom, above 0; may be fractional.
    """
    return float(_special().chdtrc(degrees, max(0.0, value)))


def f_survival(value: float, upper: float, lower: float) -> float:
    """Probability that a variable of Fisher's F is above `value`.

    Args:
        value: Of the ratio; below 0 counts as 0.
        upper: Degrees of freedom of the numerator, above 0; may be fractional.
        lower: Degrees of freedom of the denominator.
    """
    return float(_special().fdtrc(upper, lower, max(0.0, value)))


def normal_quantiles(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values below which a standard normal variable is with these probabilities."""
    found: NDArray[np.float64] = _special().ndtri(probabilities)
    return found


@lru_cache(maxsize=1024)
def chi_square_upper_quantile(probability: float, degrees: float) -> float:
    """The value that a chi-square variable exceeds with this probability.

    Args:
        probability: Above 0, at most 1; of the upper tail, so that small ones keep their digits.
        degrees: Degrees of freedom, above 0.
    """
    return float(_special().chdtri(degrees, probability))


def noncentral_chi_square_survival(value: float, degrees: float, noncentrality: float) -> float:
    """Probability that a noncentral chi-square variable is above `value`: the power of a test.

    Args:
        value: Value of the statistic.
        degrees: Degrees of freedom, above 0.
        noncentrality: By how much the difference raises the mean of the statistic.
    """
    return 1.0 - float(_special().chndtr(value, degrees, noncentrality))


def binomial_upper_tail(number: int, trials: int, chance: float) -> float:
    """Probability of at least `number` hits in `trials`, each with probability `chance`.

    1 where `number` is 0 or less, 0 where it is more than `trials`.
    """
    if number <= 0:
        return 1.0
    if number > trials:
        return 0.0
    # The tail of a binomial is a regularised incomplete beta function (DLMF 8.17.5).
    return float(_special().betainc(number, trials - number + 1, chance))


def binomial_upper_tails(
    numbers: NDArray[np.float64], trials: NDArray[np.float64], chances: NDArray[np.float64]
) -> NDArray[np.float64]:
    """`binomial_upper_tail` for many; each number is 0 or more, and its trials or less."""
    some = np.maximum(numbers, 1.0)
    tails = _special().betainc(some, np.maximum(trials - some, 0.0) + 1, chances)
    found: NDArray[np.float64] = np.where(numbers > 0, tails, 1.0)
    return found


def student_tails(values: NDArray[np.float64], degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities that Student's t is further from 0 than each value, on either side.

    Args:
        values: Of the statistic, 0 or more.
        degrees: Degrees of freedom of each, above 0; infinite ones are those of a normal variable.
    """
    found: NDArray[np.float64] = 2 * _special().stdtr(degrees.clip(max=1e9), -values)
    return found


def correlation_tails(
    values: NDArray[np.float64], variances: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Probabilities that ``atanh`` of the correlation of independent normal rows is further from 0.

    Args:
        values: Of ``atanh``, 0 or more.
        variances: Variance of each; it stands for the number of rows, ``n``, by ``trigamma((n - 2)
            / 2) / 2``.
    """
    half = _inverse_trigamma(2 * variances)
    return student_tails(np.sinh(values) * np.sqrt(2 * half), 2 * half)


def moderated_variances(
    variances: NDArray[np.float64], degrees: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Estimates of many variances, each drawn towards their common centre (Smyth 2004).

    How much so is learnt from them: the more alike they are, the less each counts by itself.

    Args:
        variances: Estimates, above 0.
        degrees: Degrees of freedom of each, above 0.

    Returns:
        The variances, their degrees of freedom, and the centre.
    """
    special = _special()
    if len(variances) < _LEAST_VARIANCES:
        return variances, degrees, float(variances.mean())
    away = np.log(variances) - special.digamma(degrees / 2) + np.log(degrees / 2)
    excess = float(away.var() * len(away) / max(1, len(away) - 1))
    excess -= float(special.polygamma(1, degrees / 2).mean())
    if excess <= 0:
        center = float(np.exp(away.mean()))
        return np.full_like(variances, center), np.full_like(degrees, np.inf), center
    half = float(_inverse_trigamma(np.array([excess]))[0])
    center = float(np.exp(away.mean() + special.digamma(half)) / half)
    together = degrees + 2 * half
    return (2 * half * center + degrees * variances) / together, together, center


def _inverse_trigamma(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The numbers that have these trigamma values, by Newton's method on the reciprocal."""
    zeta = _special().zeta
    found = 0.5 + 1 / values
    for _ in range(_NEWTON_STEPS):
        # Trigamma and its derivative are Hurwitz zeta functions (DLMF 25.11.12).
        slope, value = -2 * zeta(3, found), zeta(2, found)
        step = value * (1 - value / values) / slope
        found = found + step
        if (np.abs(step) <= _NEWTON_ENDS * found).all():
            break
    positive: NDArray[np.float64] = found
    return positive


@cache
def _special() -> Any:
    try:
        import scipy.special  # large, and in the extra `monitor` only
    except ImportError as error:
        raise ModuleNotFoundError(what_to_install()) from error
    return scipy.special
