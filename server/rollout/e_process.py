"""The arithmetic of all e-processes: means of likelihood ratios, kept as logarithms.

An e-process is a figure that starts at 1 and whose expected value is at most 1 at any stopping time
while the null hypothesis holds: the wealth of a gambler who bets against it at fair odds.
Ville's inequality then bounds the probability that it *ever* reaches 1 / alpha by alpha. So it may
be read at any time. A mean of such figures is one again, however they depend on each
other (Vovk and Wang, arXiv 1912.06116): that is how a grid of alternatives, and several kinds of
evidence, are joined.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: e to this power is still a float; more evidence makes no difference.
_MOST: Final = 700.0


def mean_of_exponentials(logarithms: Sequence[float]) -> float:
    """The mean of the numbers whose natural logarithms these are, at most about 1e304."""
    largest = max(logarithms)
    if largest == -math.inf:
        return 0.0
    total = math.fsum([math.exp(one - largest) for one in logarithms])
    return math.exp(min(_MOST, largest + math.log(total / len(logarithms))))


def bernoulli_mixture(hits: int, misses: int, null: float, alternatives: Iterable[float]) -> float:
    """E value of a coin against the hypothesis that it hits with probability `null`.

    With alternatives above `null` the hypothesis is "at most `null`", with alternatives below it is
    "at least `null`": the factor of a throw is monotone in the outcome, so its mean over throws
    that are further on the side of the hypothesis is below 1.

    Args:
        hits: Throws that hit.
        misses: The others.
        null: 0 < null < 1.
        alternatives: Probabilities to bet on, each equally; all on one side of `null`.
    """
    return mean_of_exponentials(
        [
            hits * math.log(one / null) + misses * math.log((1.0 - one) / (1.0 - null))
            for one in alternatives
        ]
    )
