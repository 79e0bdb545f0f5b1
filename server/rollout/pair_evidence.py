"""Evidence from pairs of answers: stable and its shadow computed the same request.

Sources: the grids of bets are those of `penstock.server.rollout.e_process`; Vovk and Wang, arXiv
1912.06116. Only the pair that is bet on has to be new given the past; outages, drift and the mix of
requests do not matter as long as the hypothesis holds for each.
"""

from __future__ import annotations

from typing import Final

from .e_process import bernoulli_mixture

#: The rates of disagreement to bet on, in multiples (and, for agreement, fractions) of the
#: tolerated one.
GRID: Final = (1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 40.0)


def disagreement_evidence(pairs: int, disagreements: int, tolerated: float) -> float:
    """E value against "at most this part of the requests disagrees".

    Args:
        pairs: Requests that were compared.
        disagreements: Of those.
        tolerated: Between 0 and 1.
    """
    rates = [rate for times in GRID if (rate := times * tolerated) < 1.0]
    return bernoulli_mixture(disagreements, pairs - disagreements, tolerated, rates)


def agreement_evidence(pairs: int, disagreements: int, tolerated: float) -> float:
    """E value against "at least this part of the requests disagrees": for agreement.

    Args:
        pairs: Requests that were compared.
        disagreements: Of those.
        tolerated: Between 0 and 1.
    """
    rates = [tolerated / times for times in GRID]
    return bernoulli_mixture(disagreements, pairs - disagreements, tolerated, rates)
