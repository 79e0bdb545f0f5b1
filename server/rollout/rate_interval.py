"""The interval of one rate, valid at all times together."""

from __future__ import annotations

from typing import Final

import numpy as np

from .betting import Bets
from .interval import Interval

#: Of a hit, and of a miss.
_ON_HITS: Final = Bets(np.array([[1.0, 0.0]]), np.ones(1))


def rate_interval(hits: float, trials: float, miss: float = 0.05) -> Interval:
    """The interval of a rate, by bets that it is higher, and bets that it is lower.

    Assumes that the rate is the same over time, or at least that each trial hits with this
    probability given all before. Expected numbers may stand for counts.

    Args:
        hits: Trials that hit.
        trials: All trials.
        miss: Probability, at most, that an interval is ever wrong, over all looks.
    """
    counts = np.array([hits, trials - hits], np.float64)
    low = _ON_HITS.lowest(counts, 0.0, 1.0, miss / 2.0)
    high = 1.0 - _ON_HITS.lowest(counts[::-1], 0.0, 1.0, miss / 2.0)
    return Interval(low, high)
