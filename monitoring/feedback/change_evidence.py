"""Evidence that the odds of a bad vote have grown, though their level is known roughly only. Pure.

With a level `p` of bad votes, ``L_j`` is the likelihood ratio of a vote under odds `ODDS[j]` times
those of `p`. The Shiryaev-Roberts statistic ``R_j <- (1 + R_j) L_j`` sums the evidence of a change
at any vote so far. The level has a weight at each of `LEVELS` points: at first as likely as the
votes of the reference make it (Jeffreys' prior), then also the votes since, as if nothing had
changed. The statistic is the mean of all ``R_j``, with these weights and `WEIGHTS`. While nothing
has changed, it minus the number of votes is a martingale, so it reaches ``A`` within ``m`` votes
with a probability of ``m / A`` at most (Doob), in the mean over the levels that the reference
leaves open. See Shin, Ramdas, Rinaldo, "E-detectors" (2022).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

if TYPE_CHECKING:
    from .outputs import Floats

    T = TypeVar("T", float, Floats)

#: How much worse, as factors of the odds; a mixture of a small, a medium and a large change.
ODDS: Final = (1.5, 2.25, 4.0)
#: Most of it on the medium one (accuracy 0.90 to 0.80), which costs the others little.
WEIGHTS: Final = (1 / 6, 2 / 3, 1 / 6)
#: Points of the level, this many standard errors to each side.
LEVELS: Final = 25
_SIDE: Final = 4.0
#: No statistic is above; it is so only at levels that hardly weigh.
_HIGHEST: Final = 1e250
#: Shares whose ratios are remembered: those of the hours of some weeks.
_MOST_KNOWN: Final = 1000
_ODDS: Final = np.array(ODDS)[:, None]
_WEIGHTS: Final = np.array(WEIGHTS)


def ratios(p: T, odds: float) -> tuple[T, T]:
    """Likelihood ratios of a bad and of a good vote for odds that have grown by a factor."""
    worse = odds * p / (1 - p + odds * p)
    return worse / p, (1 - worse) / (1 - p)


def grow(statistic: T, ratio: T) -> T:
    """One vote on: a change may have begun just now, or earlier."""
    return (1.0 + statistic) * ratio


@dataclass(slots=True)
class ChangeEvidence:
    """The statistic.

    Attributes:
        levels: Log odds of each level, less those of the share that is expected.
        weights: Log weight of each.
        sums: Statistic of each of `ODDS` (rows) and level.
        by_odds: Statistic of each of `ODDS`.
    """

    levels: Floats
    weights: Floats
    sums: Floats = field(default_factory=lambda: np.zeros((len(ODDS), LEVELS)))
    by_odds: Floats = field(default_factory=lambda: np.zeros(len(ODDS)))
    _known: dict[tuple[float, bool], tuple[Floats, Floats]] = field(default_factory=dict)

    @classmethod
    def of(cls, votes: float, bad: float, rate: float) -> ChangeEvidence:
        """No evidence yet.

        Args:
            votes: Votes that the level is known from.
            bad: Bad ones among them.
            rate: The share of bad votes that is expected.
        """
        wrong, good = bad + 0.5, max(votes - bad, 0.0) + 0.5
        levels = np.linspace(-_SIDE, _SIDE, LEVELS) * math.sqrt(1 / wrong + 1 / good)
        odds = rate / (1 - rate) * np.exp(levels)
        weights = wrong * np.log(odds) - (wrong + good) * np.log1p(odds)
        return cls(levels, weights - weights.max())

    def add(self, rate: float, *, bad: bool, worth: float = 1.0) -> None:
        """One vote.

        Args:
            rate: The share of bad votes that is expected.
            bad: Whether this one is.
            worth: Independent votes that it stands for, at most 1.
        """
        likely, ratio = self._of_vote(rate, bad=bad)
        if worth < 1:
            likely, ratio = worth * likely, ratio**worth
        self.sums = np.minimum(grow(self.sums, ratio), _HIGHEST)
        weights = self.weights + likely
        self.weights = weights - weights.max()
        level = np.exp(self.weights)
        self.by_odds = self.sums @ level / level.sum()

    @property
    def statistic(self) -> float:
        """The mean of all."""
        return float(_WEIGHTS @ self.by_odds)

    def _of_vote(self, rate: float, *, bad: bool) -> tuple[Floats, Floats]:
        """Log probability of the vote at each level, and its ratio under each of `ODDS`."""
        known = self._known.get((rate, bad))
        if known is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            odds = rate / (1 - rate) * np.exp(self.levels)
            ratio = (1 + odds) / (1 + _ODDS * odds) * (_ODDS if bad else 1.0)
            likely = (np.log(odds) if bad else 0.0) - np.log1p(odds)
            known = self._known[rate, bad] = likely, ratio
        return known

    def to_json(self) -> dict[str, Any]:
        """To go on after a restart."""
        return {name: getattr(self, name).tolist() for name in _KEPT}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> ChangeEvidence:
        """The reverse of `to_json`."""
        levels, weights, sums, by_odds = (np.array(content[name], float) for name in _KEPT)
        return cls(levels, weights, sums, by_odds)


_KEPT: Final = ("levels", "weights", "sums", "by_odds")
