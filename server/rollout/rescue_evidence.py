"""Evidence from requests that the canary failed at and stable was asked instead.

Such a request has been tried by both versions. Let the canary fail at it with probability p, and
stable, asked afterwards, with probability s. It ends in one of three ways: answered, 1 - p;
rescued, p (1 - s); failed by both, p s. The null hypothesis is p <= r0 s: the canary is at most r0
times as likely to fail *at the same request*. So a client whose requests fail in both versions, a
unit that is often unlucky and an outage that both versions share say nothing against the canary,
and whole tenants may be looked at one by one.

The three probabilities that the hypothesis allows are a convex set: p s >= p^2 / r0, which is
above a parabola. For each alternative q there is a point p* of the set that is nearest to it (in
the sense of Kullback and Leibler), and q / p* has a mean of at most 1 under *every* point of the
set. So the product over requests is a supermartingale, even if the probabilities change from
request to request in any way that does not look ahead. The mean over alternatives is one, too.

It rests on two things: what stable does with a request does not depend on what the canary did with
it, and stable is asked about the same time. Timeouts break the second when a machine stalls, so
that timeouts of a unit within a second are one request.

Sources: P. Gruenwald, R. de Heide, W. Koolen, Safe testing, arXiv 1906.07801 (the nearest point);
V. Vovk and R. Wang, arXiv 1912.06116 (means).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from .e_process import mean_of_exponentials

if TYPE_CHECKING:
    from .worst_units import UnitCounts, UnitTable

#: Probabilities of a failure to bet on, and that of stable after it.
GRID: Final = (0.02, 0.05, 0.1, 0.2, 0.4, 0.99)
STABLE_FAILS: Final = 0.01
#: Halvings of an interval; far below what a double can tell.
_HALVINGS: Final = 60


def rescue_evidence(answered: int, rescued: int, both_failed: int, tolerated: float) -> float:
    """E value against "the canary is at most `tolerated` times as likely to fail at a request".

    Args:
        answered: Requests that the canary answered.
        rescued: Requests that the canary failed at and stable answered.
        both_failed: Requests that both failed at.
        tolerated: The ratio r0, 1 to 1.5; above that some bets of the grid would be allowed.
    """
    return mean_of_exponentials(
        [
            answered * a + rescued * b + both_failed * c
            for a, b, c in (_logarithms(failure, tolerated) for failure in GRID)
        ]
    )


def unit_evidence(table: UnitTable, arm: tuple[int, int, int], tolerated: float) -> float:
    """E value against "the canary is no worse, neither for all requests nor for any unit".

    Half of it is bet on the whole arm; of the other half, 1 / (k (k + 1)) on the k-th unit that
    fails. The units are weighed as if each had entered last, which is the safe side.

    Args:
        table: The units that fail most.
        arm: Requests of the canary's arm: answered, rescued, failed by both; timeouts aside.
        tolerated: The ratio r0.
    """
    number = max(table.entered, len(table.canary))
    each = 1.0 / (number * (number + 1)) if number else 0.0
    units = math.fsum(each * one_unit(one, table, tolerated) for one in table.canary)
    return 0.5 * rescue_evidence(*arm, tolerated) + 0.5 * (units + 1.0 / (number + 1))


def one_unit(unit: UnitCounts, table: UnitTable, tolerated: float) -> float:
    """E value of one unit.

    Without fallback nobody tried its requests again. Then its failures count as rescued, unless the
    unit is known to fail in the arm of stable, too.
    """
    untried = 0 if unit.key in table.stable else unit.untried
    return rescue_evidence(unit.answered, unit.rescued + untried, unit.both_failed, tolerated)


@lru_cache(maxsize=64)
def _logarithms(failure: float, tolerated: float) -> tuple[float, float, float]:
    """Logarithms of the factors of a bet, for a request answered, rescued, failed by both."""
    bet = (1.0 - failure, failure * (1.0 - STABLE_FAILS), failure * STABLE_FAILS)
    null = nearest_null(bet, tolerated)
    return tuple(math.log(q / p) for q, p in zip(bet, null, strict=True))  # type: ignore[return-value]


def nearest_null(bet: tuple[float, float, float], tolerated: float) -> tuple[float, float, float]:
    """The allowed probabilities that are nearest to those of a bet that is not allowed.

    They are on the border, p s = p^2 / r0, and maximise the mean of their logarithm under the bet,
    which is concave in p.

    Args:
        bet: Probabilities of answered, rescued, failed by both; they sum to 1.
        tolerated: The ratio r0.
    """
    answered, rescued, both = bet

    def slope(p: float) -> float:
        return -answered / (1.0 - p) + rescued * (1.0 / p - 1.0 / (tolerated - p)) + 2.0 * both / p

    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if slope(middle) > 0.0 else (low, middle)
    p = (low + high) / 2.0
    return 1.0 - p, p - p * p / tolerated, p * p / tolerated
