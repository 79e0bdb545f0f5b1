"""Bets against "the mean of these values is at most so much", and the means that they refuse.

A gambler who bets a part f of the wealth on "the mean of z is above d" has, after each value,

    1 + f (z - d) / (d - least z)

times as much: never less than nothing, and no more than before on average if the mean is at most d.
The mean over many f is such a figure, too. Where it reaches 1 / miss, d is refused; the probability
that a true mean is *ever* refused is at most `miss` (Ville's inequality). The order of the values
does not matter, so counts of them are enough.

A small f finds a small difference. Which f is best is not known before, so the bets are spread over
parts that halve: no best part is further away than a factor of 1.42, which costs a ninth of the
evidence, and the spreading costs what it costs to be twelve times as certain.

Source: I. Waudby-Smith, A. Ramdas, Estimating means of bounded random variables by betting, arXiv
2010.09686.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Parts of the wealth that are bet; the first is for events that happen nearly always, or never.
FRACTIONS: Final = np.array([0.95, *(0.5**power for power in range(1, 12))])
#: A range of means is cut into so many pieces so often: far below what a count can tell.
_PIECES: Final = 24
_ROUNDS: Final = 7
#: Keeps a mean apart from the least value.
_LEAST: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Bets:
    """Bets on the mean of one figure, that each outcome has one value of.

    Attributes:
        values: Value by outcome. Several rows are several figures with the same mean, of which it
            is not known before which one varies least.
        weights: Weight of each row; they sum to 1.
    """

    values: Floats
    weights: Floats

    def log_evidence(self, counts: Any, means: Any) -> Floats:
        """Natural logarithms of the E values against "the mean is at most this".

        They fall with the mean.

        Args:
            counts: How often each outcome came. Expected numbers may stand for counts.
            means: One or more, each not below the least value.
        """
        levels = np.asarray(means, np.float64).reshape(-1, 1, 1)
        room = np.maximum(_LEAST, levels - self.values.min(axis=1, keepdims=True))
        gains = (self.values - levels) / room
        wealths = np.log1p(FRACTIONS[:, None, None, None] * gains) @ np.asarray(counts, np.float64)
        most = wealths.max(axis=(0, 2), keepdims=True)
        average = np.exp(wealths - most).mean(axis=0) @ self.weights
        found: Floats = most[0, :, 0] + np.log(average)
        return found

    def lowest(self, counts: Any, low: float, high: float, miss: float) -> float:
        """The largest mean that is refused as too small; `low` if none is.

        Args:
            counts: How often each outcome came.
            low: No mean is below.
            high: No mean is above.
            miss: Probability, at most, that the true mean is ever refused.
        """
        limit = math.log(1.0 / miss)
        for _ in range(_ROUNDS):
            means = np.linspace(low, high, _PIECES + 1)
            refused = int((self.log_evidence(counts, means[1:-1]) >= limit).sum())
            low, high = means[refused], means[refused + 1]
        return float(low)
