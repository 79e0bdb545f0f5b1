"""The tests of one comparison: each sees one kind of change well. Pure.

Chi-square over all bins sees any change, and few of them early: its ten degrees of freedom drown a
small shift. So a comparison is tested in several ways, and the least likely result counts, each
weighed by a share of the false-alarm rate (Bonferroni):

| test | sees | statistic |
|---|---|---|
| ``all`` | any change | two-sample chi-square over the bins |
| ``location`` | a shift | normal scores of the pooled bins (van der Waerden) |
| ``scale`` | a change of spread | squared normal scores (Klotz), freed of the shift |
| ``single`` | a value that is stuck, a category that is new, renamed or gone | the exact \
tail (Fisher) of the bin that changed most, for the number of bins |
| ``rest`` | more of what is rare or exceptional | the exact upper tail of its rows |

An exact tail is kept as the value of chi-square with one degree of freedom that has it, so that all
tests are judged alike.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from penstock.monitoring.fisher import exact_tail
from penstock.monitoring.probability import normal_quantiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ALL: Final = "all"
LOCATION: Final = "location"
SCALE: Final = "scale"
SINGLE: Final = "single"
REST: Final = "rest"

#: Shares of the false-alarm rate of one feature that each test may spend.
NUMBER_SHARES: Final = {LOCATION: 0.3, SCALE: 0.3, SINGLE: 0.25, ALL: 0.1, REST: 0.05}
CATEGORY_SHARES: Final = {SINGLE: 0.5, ALL: 0.4, REST: 0.1}

_NORMAL: Final = NormalDist()
_SMALLEST: Final = 1e-300
#: A variance of scores below it is none.
_FLAT: Final = 1e-12


class Statistic(NamedTuple):
    """The result of one test.

    Attributes:
        value: Like chi-square when nothing has changed.
        degrees: Of freedom of it, above 0.
    """

    value: float
    degrees: float


def of_tail(probability: float) -> Statistic:
    """A tail probability as chi-square with one degree of freedom."""
    quantile = _NORMAL.inv_cdf(min(0.5, max(probability, _SMALLEST) / 2))
    return Statistic(quantile * quantile, 1.0)


def of_tails(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values of `of_tail` for many tail probabilities."""
    quantiles = normal_quantiles(np.minimum(0.5, np.maximum(probabilities, _SMALLEST) / 2))
    return quantiles * quantiles


def moved_scores(
    baseline: Sequence[int], window: Sequence[int]
) -> tuple[Statistic, Statistic] | None:
    """Location and scale of bins in ascending order; ``None`` if fewer than three hold rows.

    The variances are those of the permutations of all rows, given the pooled counts.

    Args:
        baseline: Rows per bin.
        window: Rows per bin.
    """
    both = np.array([baseline, window], np.float64)
    both = both[:, both.any(axis=0)]
    reference, rows = map(float, both.sum(axis=1))
    together = reference + rows
    if both.shape[1] < 3 or not reference or not rows:  # noqa: PLR2004  else both are the same
        return None
    scores, variances = bin_scores(both.sum(axis=0) / together)
    moved = scores @ (both[1] / rows - both[0] / reference)
    factor = (together - 1) * rows * reference / together**2
    values = factor * moved * moved / variances
    first, second = values.tolist()
    return Statistic(first, 1.0), Statistic(second, 1.0)


def bin_scores(
    weights: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores of location and of scale of each bin, and the variance of both.

    Args:
        weights: Share of each bin, in ascending order of what it holds; each above 0.

    Returns:
        Scores, 2 x bins, and variances; infinite where all scores are alike.
    """
    shift = normal_quantiles(np.cumsum(weights) - weights / 2)
    shift -= shift @ weights
    spread = shift * shift
    spread -= spread @ weights
    spread -= (spread * shift) @ weights / ((shift * shift) @ weights) * shift
    scores = np.stack([shift, spread])
    variances = (scores * scores) @ weights
    return scores, np.where(variances < _FLAT, np.inf, variances)


def single_bin(baseline: Sequence[int], window: Sequence[int]) -> Statistic | None:
    """The bin whose share changed most; ``None`` if there is only one.

    The exact tail belongs to the bin whose normal approximation is most extreme; it is at least
    the smallest of all bins, so that the correction for their number holds.

    Args:
        baseline: Rows per bin.
        window: Rows per bin.
    """
    reference, rows = sum(baseline), sum(window)
    bins, extreme, found = 0, -1.0, (0, 0)
    for old, new in zip(baseline, window, strict=True):
        if old + new:
            bins += 1
            away = (new * reference - old * rows) ** 2 / (old + new)
            away /= max(1, reference + rows - old - new)
            if away > extreme:
                extreme, found = away, (old, new)
    if bins < 2:  # noqa: PLR2004
        return None
    old, new = found
    more, drawn = (new, rows) if new * reference >= old * rows else (old, reference)
    tail = exact_tail(more, old + new, drawn, reference + rows)
    return of_tail(min(1.0, 2 * bins * tail))
