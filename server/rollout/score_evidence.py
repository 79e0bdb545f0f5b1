"""Evidence that both versions distribute their scores differently.

The scores of the stable version have bins, its deciles, fixed before. If both distribute alike, a
prediction whose score falls in a bin is the canary's with probability w, its share. Per bin this
is tested against a Dirichlet (here: Beta) mixture with mean w, and the bins' figures multiply, as
each prediction falls in one: M. Lindon and A. Malek, arXiv 2011.03567.

It makes the controller hold, never abort: a better model may well score otherwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .e_process import mean_of_exponentials

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Predictions that the mixture's mean counts for; larger looks for smaller differences.
CONCENTRATION: Final = 20.0


@dataclass(frozen=True, slots=True)
class ScoreBins:
    """Predictions by bin in one step, while every worker had the share.

    Attributes:
        share: Share of the canary, 0 to 1.
        bins: Predictions of stable and of the canary in each.
    """

    share: float
    bins: tuple[tuple[int, int], ...]


def score_evidence(steps: Iterable[ScoreBins]) -> float:
    """E value against "both versions distribute their scores alike".

    The canary's part of what was counted in a step may be another than its share, as samples are
    dropped or requests fail: the hypothesis takes the part that fits best. That makes the figure
    smaller than the true part would, so it stays an E value whatever that is.
    """
    return _evidence((one, _fitted(one)) for one in steps)


def share_evidence(steps: Iterable[ScoreBins]) -> float:
    """E value against "in each bin, the canary's part is its share"."""
    return _evidence((one, one.share) for one in steps)


def _fitted(step: ScoreBins) -> float:
    stable = sum(one for one, _ in step.bins)
    canary = sum(one for _, one in step.bins)
    return canary / (stable + canary) if stable + canary else step.share


def _evidence(steps: Iterable[tuple[ScoreBins, float]]) -> float:
    total = math.fsum(
        _log_mixture(one.share, stable, canary) - _log_chance(null, stable, canary)
        for one, null in steps
        if 0.0 < one.share < 1.0
        for stable, canary in one.bins
    )
    return mean_of_exponentials([total])


def _log_mixture(share: float, stable: int, canary: int) -> float:
    a, b = CONCENTRATION * share, CONCENTRATION * (1.0 - share)
    return _log_beta(a + canary, b + stable) - _log_beta(a, b)


def _log_chance(part: float, stable: int, canary: int) -> float:
    """Of these predictions if the canary's part is this; nothing fell where it is 0 or 1."""
    return (canary * math.log(part) if canary else 0.0) + (
        stable * math.log1p(-part) if stable else 0.0
    )


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
