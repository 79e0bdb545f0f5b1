"""Evidence from pairs of losses: the loss of each version's answer, known when a label arrives.

For regression, or any loss. The difference of a pair, canary less stable, is scaled and cut to -1
to 1. A bet of a part lambda of the wealth on "larger than the margin" is fair or worse as long as
the expected difference, given the past, is at most the margin. So the wealth is a supermartingale,
and the mean over several lambdas is one, too: I. Waudby-Smith and A. Ramdas, Estimating means of
bounded random variables by betting, arXiv 2010.09686.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

from .e_process import mean_of_exponentials

#: The parts of the wealth that are bet.
GRID: Final = (0.02, 0.05, 0.1, 0.2, 0.4)


@dataclass(frozen=True, slots=True)
class LossBets:
    """The state of all bets; a value, so that it can be kept on disk.

    Attributes:
        scale: A difference of this size counts as 1, a larger one, too.
        margin: Harm that is tolerated, in parts of `scale`; 0 or more.
        logarithms: Logarithm of the wealth of each bet.
        pairs: Number of pairs so far.
    """

    scale: float
    margin: float = 0.0
    logarithms: tuple[float, ...] = (0.0,) * len(GRID)
    pairs: int = 0

    def after(self, stable_loss: float, canary_loss: float) -> LossBets:
        """The bets after one more pair, in the order in which the truth arrives.

        Raises:
            ValueError: A loss is not a finite number: nothing can be bet on it.
        """
        difference = canary_loss - stable_loss
        if not math.isfinite(difference):
            raise ValueError(f"the losses are {stable_loss} and {canary_loss}, expected numbers")
        delta = max(-1.0, min(1.0, difference / self.scale))
        gain = (delta - self.margin) / (1.0 + self.margin)
        logarithms = tuple(
            was + math.log1p(part * gain) for was, part in zip(self.logarithms, GRID, strict=True)
        )
        return replace(self, logarithms=logarithms, pairs=self.pairs + 1)

    @property
    def e_value(self) -> float:
        """E value against "the candidate's expected loss is larger by at most the margin"."""
        return mean_of_exponentials(self.logarithms)
