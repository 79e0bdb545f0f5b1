"""The interval of the difference of two rates, valid at all times together.

Each request is given to the canary by chance, with probability w. Let y be 1 if the request has the
event, else 0, and a be 1 if it is the canary's. For any number c,

    z = (y - c) (a / w - (1 - a) / (1 - w))

has the mean ``rate of the canary - rate of stable``, whatever both rates are at that moment. So the
bets of `penstock.server.rollout.betting` on the mean of z are bets on the difference. They assume
that the difference is the same over time, and nothing of the rates: an outage or a cycle that both
arms share does no harm.

A c near both rates makes z vary least, as a control variate does. It has to be fixed before the
requests, so there are few of them, and the mean over all is taken. If both rates are equal, z with
the best c varies as the difference of two means does, and nothing is lost to the fixed sample.

It needs arms that are drawn by request: see `penstock.server.rollout.arm_rates`.

Sources: D. Horvitz, D. Thompson 1952 (weights by share); J. Robins, A. Rotnitzky, L. Zhao 1994 (the
centre c); those of `penstock.server.rollout.betting`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from .betting import Bets
from .interval import Interval

#: Centres c and their weights, which sum to 1. Most events are rare.
CENTRES: Final = {0.0: 0.32, 0.15: 0.2, 0.5: 0.22, 0.85: 0.14, 1.0: 0.12}


@dataclass(frozen=True, slots=True)
class Cells:
    """Requests by arm and outcome. Expected numbers may stand for counts.

    Attributes:
        stable_hits: Requests of stable with the event.
        stable_misses: Requests of stable without it.
        canary_hits: Requests of the canary with the event.
        canary_misses: Requests of the canary without it.
    """

    stable_hits: float
    stable_misses: float
    canary_hits: float
    canary_misses: float

    @property
    def counts(self) -> tuple[float, float, float, float]:
        """All four, in the order of `bets_on_difference`."""
        return self.stable_hits, self.stable_misses, self.canary_hits, self.canary_misses

    @property
    def swapped(self) -> Cells:
        """The same with the arms exchanged."""
        return Cells(self.canary_hits, self.canary_misses, self.stable_hits, self.stable_misses)


def difference_interval(cells: Cells, share: float, miss: float = 0.05) -> Interval:
    """Interval of ``rate of the canary - rate of stable``.

    Args:
        cells: What was counted while the canary had this share.
        share: Share of the canary in requests, 0 to 1.
        miss: Probability, at most, that an interval is ever wrong, over all looks.

    Returns:
        Bounds within -1 to 1; both of these where nothing is known.
    """
    if not 0.0 < share < 1.0:
        return Interval(-1.0, 1.0)
    low = bets_on_difference(share).lowest(cells.counts, -1.0, 1.0, miss / 2.0)
    swapped = bets_on_difference(1.0 - share)
    high = -swapped.lowest(cells.swapped.counts, -1.0, 1.0, miss / 2.0)
    return Interval(min(low, high), max(low, high))


@lru_cache(maxsize=64)
def bets_on_difference(share: float) -> Bets:
    """Bets on the difference, for outcomes in the order of `Cells.counts`.

    Args:
        share: Share of the canary in requests, between 0 and 1.
    """
    stable, canary = -1.0 / (1.0 - share), 1.0 / share
    values = [
        ((1.0 - centre) * stable, -centre * stable, (1.0 - centre) * canary, -centre * canary)
        for centre in CENTRES
    ]
    return Bets(np.array(values), np.array(list(CENTRES.values())))
