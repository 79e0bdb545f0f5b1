"""The dependence of windows that follow each other. Pure.

Independent stretches are the windows divided by ``1 + 2 sum r_k``, ``r_k`` being the correlation of
windows ``k`` apart, as long as it is above 0 (Geyer 1992); of a cycle over a quarter of the time,
where it cancels. The correlation of neighbours that few windows show is too small, as long as they
have not come far yet: it counts without its bias (Kendall 1954) and two standard errors larger.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Correlation, as a part of that of neighbours, with which a cycle comes back.
_BACK: Final = 0.6
_LEAST_BACK: Final = 0.3
#: Of so many windows, it must come back so many times: what wanders comes back now and then, too.
_MANY: Final = 72
_TIMES: Final = 3
_SHORTEST: Final = 4
#: What it is compared with if neighbours are less alike.
_LEAST_NEIGHBOURS: Final = 0.5
#: Correlation of neighbours, in standard errors, up to which windows may be independent.
_BY_CHANCE: Final = 2.0
#: The largest correlation of neighbours.
_LONGEST: Final = 0.999


class Dependence(NamedTuple):
    """The dependence of windows on each other; as in `Variation`.

    Attributes:
        stretches: Independent stretches of time.
        memory: Correlation of neighbours.
        period: Windows after which they come back to what they were; 0 if they do not.
    """

    stretches: float
    memory: float
    period: int


def dependence(counts: NDArray[np.int64], groups: NDArray[np.int64] | None = None) -> Dependence:
    """The dependence of windows on each other.

    Args:
        counts: Windows in the order of time, by bins.
        groups: Group of each window, each of two windows or more. What the windows of a group have
            in common is left out, and no period is looked for.
    """
    number = len(counts)
    rows = counts.sum(axis=1)
    shares = counts / rows[:, None]
    mean = counts.sum(axis=0) / rows.sum()
    there = mean > 0
    noise = float(((1 - mean[there]).sum() / rows).mean())
    if groups is None:
        away = shares[:, there] - mean[there]
    else:
        away, left = _without_groups(shares[:, there], groups)
        noise *= left
    away /= np.sqrt(mean[there])
    power = float((away**2).sum() / number) - noise
    if power <= 0:
        return Dependence(float(number), 0.0, period=0)
    correlations = np.array(
        [
            float((away[lag:] * away[:-lag]).sum()) / (number - lag) / power
            for lag in range(1, 3 * number // 4)
        ]
    )
    below = np.flatnonzero(correlations <= 0)
    end = int(below[0]) if below.size else len(correlations)
    neighbours = float(correlations[0])
    period = 0 if groups is not None else _period(correlations, end, number)
    if period:
        end = number // 4
    neighbours = _corrected(neighbours, number)
    memory = min(float(number), max(1.0, 1 + 2 * float(correlations[:end].sum())))
    if not period:  # of few windows the sum is too small; for an AR(1) this is all of it
        memory = max(memory, (1 + neighbours) / (1 - neighbours))
    return Dependence(number / memory, neighbours, period)


def _without_groups(
    shares: NDArray[np.float64], groups: NDArray[np.int64]
) -> tuple[NDArray[np.float64], float]:
    """Shares less the mean of their group, and the part of their noise that is left."""
    sizes = np.bincount(groups)
    total = np.zeros((len(sizes), shares.shape[1]))
    np.add.at(total, groups, shares)
    return shares - (total / np.maximum(sizes, 1)[:, None])[groups], 1 - float(
        (1 / sizes[groups]).mean()
    )


def _corrected(neighbours: float, number: int) -> float:
    """The correlation of neighbours without its bias (Kendall 1954), two standard errors larger.

    Of few windows that wander slowly, the measured one is too small: they have not come far yet.
    One that independent windows have now and then is taken as it is.
    """
    measured = min(0.99, max(0.0, neighbours))
    if measured * math.sqrt(number) <= _BY_CHANCE:
        return measured
    error = math.sqrt((1 - measured**2) / number)
    return min(_LONGEST, measured + (1 + 4 * measured) / number + 2 * error)


def _period(correlations: NDArray[np.float64], end: int, number: int) -> int:
    """The lag at which windows, and at its multiples, are alike, and unlike those between; or 0.

    Args:
        correlations: Of lag 1 and more.
        end: The first place that is not above 0.
        number: Of windows; the lag of few must be seen once only.
    """
    neighbours = float(correlations[0])
    found: dict[int, float] = {}
    if number < _MANY:
        least = max(_LEAST_BACK, _BACK * neighbours)
        for lag in range(end + 1, number // 2 + 1):
            tops = correlations[lag - 1 :: lag]
            if (tops >= least).all():
                found[lag] = float(tops[0])
    else:
        least = _BACK * max(_LEAST_NEIGHBOURS, neighbours)
        for lag in range(_SHORTEST, int(len(correlations) / (_TIMES + 0.5)) + 1):
            places = np.arange(1, _TIMES + 1) * lag - 1
            tops = correlations[places]
            between = correlations[places - lag // 2] + correlations[places + lag // 2]
            if (tops - between / 2 >= least).all():
                found[lag] = float(tops.sum())
    return max(found, key=found.__getitem__, default=0)
