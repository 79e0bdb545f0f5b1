"""The tail of a sample: how much of its mean lies beyond what the sample shows. Pure.

What exceeds a high threshold is distributed nearly as a generalised Pareto distribution, whatever
the sample is (J. Pickands 1975). Its shape is 0 for an exponential tail; from 0.5 on the variance
is infinite, from 1 on the mean. A fit says how far the mean of the excesses may be above that of
the sample, also where losses that come once in thousands of rows have not come yet.

Sources: J. Zhang, M. Stephens, "A new and efficient estimation method for the generalized Pareto
distribution" (2009), for the fit; A. Vehtari and others, "Pareto smoothed importance sampling",
arXiv 1507.02646, for how many values are the tail and for the prior of its shape; J. Johansson,
"Estimating the mean of heavy-tailed distributions" (2003), for the mean from bulk and tail.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from .outputs import Floats

#: The tail is the largest tenth of a sample, and no more than so many times the root of its size.
PART: Final = 0.1
ROOTS: Final = 3.0
#: Fewer excesses tell no shape.
FEWEST: Final = 30
#: The shape is drawn towards `USUAL` as by so many excesses.
PRIOR: Final = 10.0
USUAL: Final = 0.5
#: Standard errors to which the mean of the excesses is followed: a sample whose tail looks light by
#: chance is more often stated than one whose tail looks heavy.
FOLLOWED: Final = 3.0
#: From about here on the mean of the excesses has no bound.
INFINITE: Final = 0.9
#: The standard error holds for larger shapes.
_LIGHTEST: Final = -0.4


@dataclass(frozen=True, slots=True)
class Tail:
    """The upper tail of a sample.

    Attributes:
        part: Share of the values that is in the tail.
        shape: Of the generalised Pareto distribution.
        known: Standard error of the mean of the excesses, as the sample shows it.
        unseen: Distance by which that mean may be above the sample's.
    """

    part: float
    shape: float
    known: float
    unseen: float


NONE: Final = Tail(0.0, -1.0, 0.0, 0.0)


def upper_tail(values: Floats) -> Tail | None:
    """The upper tail of a sample; ``None`` where too few values are in it to say.

    Args:
        values: Numbers, at least two.
    """
    count = len(values)
    most = min(int(PART * count), int(ROOTS * math.sqrt(count)))
    ordered = np.partition(values, count - most - 1)[count - most - 1 :]
    excesses = np.sort(ordered[1:] - ordered[0])
    excesses = excesses[excesses > 0]
    if not len(excesses):
        return NONE if most >= FEWEST else None  # the largest value is a frequent one
    if len(excesses) < FEWEST:
        return None
    number = len(excesses)
    shape, scale = fit_pareto(excesses)
    shape = (number * shape + PRIOR * USUAL) / (number + PRIOR)
    mean = float(excesses.mean())
    known = float(excesses.std()) / math.sqrt(number)
    if shape >= INFINITE:
        return Tail(number / count, shape, known, math.inf)
    highest = scale / (1 - shape) * math.exp(FOLLOWED * _log_error(shape, number))
    return Tail(number / count, shape, known, max(0.0, highest - mean))


def fit_pareto(excesses: Floats) -> tuple[float, float]:
    """Shape and scale of a generalised Pareto distribution.

    The reciprocal of its end, or minus that of ``scale / shape``, is averaged over a grid with the
    profile likelihood as weight.

    Args:
        excesses: In ascending order, above 0.
    """
    number = len(excesses)
    points = 20 + int(math.sqrt(number))
    quartile = excesses[max(0, int(number / 4 + 0.5) - 1)]
    spread = 1 - np.sqrt(points / (np.arange(1, points + 1) - 0.5))
    ends = 1 / excesses[-1] + spread / (3 * quartile)
    ends = ends[ends != 0]  # there the likelihood is a limit; its neighbours tell as much
    shapes = np.log1p(-ends[:, None] * excesses).mean(axis=1)
    likelihood = number * (np.log(-ends / shapes) - shapes - 1)
    weights = np.exp(likelihood - likelihood.max())
    end = float(ends @ weights / weights.sum())
    shape = float(np.log1p(-end * excesses).mean())
    return shape, -shape / end


def _log_error(shape: float, number: int) -> float:
    """Standard error of the logarithm of ``scale / (1 - shape)``, by the Fisher information."""
    at = max(shape, _LIGHTEST)
    odds = (1 + at) / (1 - at)
    return math.sqrt((2 * (1 + at) + odds * odds - 2 * odds) / number)
