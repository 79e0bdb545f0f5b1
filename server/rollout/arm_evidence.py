"""Evidence from the arm that each bad event fell in.

Take one request of the many, given to the canary with probability w. Let it be bad with probability
p on stable and r p on the canary. *If* it is bad, it is the canary's with probability

    pi(r) = w r / (1 - w + w r),

whatever p is. An outage that hits both arms makes more events, and says nothing about r. The null
hypothesis is r <= r0. Each event multiplies the bet on a ratio r_j > r0 by pi(r_j) / pi(r0) if it
is the canary's and by (1 - pi(r_j)) / (1 - pi(r0)) if it is stable's. Under the hypothesis the mean
of that factor is at most 1, given all that came before. Hence the product is a supermartingale,
whatever the sequence of shares, as long as each is fixed before its events.

The same holds when a request was in truth given to the canary with a *smaller* probability than the
w that it is counted with: pi is smaller then, and so is the mean of the factor. A ramp only goes
up. So the events while workers take up a larger share, and requests that were given out before and
end later, are counted with the larger share, and no moment of a rollout is blind.

Sources: M. Lindon, C. Sanden, V. Shirikian, arXiv 2205.14762, and M. Lindon, A. Malek, arXiv
2011.03567 (sequential tests for counts); J. Ville 1939.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from .e_process import mean_of_exponentials

if TYPE_CHECKING:
    from collections.abc import Iterable

#: The ratios to bet on, as multiples of the ratio that is still tolerated.
GRID: Final = (1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0, 1000.0)


class ArmEvents(NamedTuple):
    """Bad events of one kind in one step.

    Attributes:
        share: Share of the canary, 0 to 1.
        canary: Events in the canary's arm.
        stable: Events in the stable arm.
    """

    share: float
    canary: int
    stable: int


def arm_evidence(steps: Iterable[ArmEvents], tolerated: float) -> float:
    """E value against "the canary's requests are at most `tolerated` times as likely to be bad".

    Args:
        steps: The steps in any order; two steps with the same share count as their sum.
        tolerated: The ratio r0.
    """
    # If the canary has all requests or none, the arm of an event is no evidence.
    telling = [one for one in steps if 0.0 < one.share < 1.0 and one.canary + one.stable]
    if not telling:
        return 1.0
    bets = [(one.canary, one.stable, log_factors(one.share, tolerated)) for one in telling]
    return mean_of_exponentials(
        [
            math.fsum([canary * logs[j][0] + stable * logs[j][1] for canary, stable, logs in bets])
            for j in range(len(GRID))
        ]
    )


@lru_cache(maxsize=1024)  # the same step is computed many times
def log_factors(share: float, tolerated: float) -> tuple[tuple[float, float], ...]:
    """Logarithms of each bet's factor, for an event of the canary and for one of stable.

    Args:
        share: Share of the canary, above 0, at most 1.
        tolerated: The ratio r0.
    """
    # Ratios of pi and of 1 - pi without the latter, which would be 0 near 1.
    null = 1.0 - share + share * tolerated
    ratios = (null / (1.0 - share + share * tolerated * times) for times in GRID)
    return tuple(
        (math.log(times * one), math.log(one)) for times, one in zip(GRID, ratios, strict=True)
    )
