"""The excess by which bad votes come in bunches, beside independent votes. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final

#: Votes in a block.
SIZES: Final = (10, 30, 100)
#: Standard errors that the figure must exceed 1 by.
SURE: Final = 4.0
#: Fewer differences of blocks say nothing.
FEWEST: Final = 20


@dataclass(slots=True)
class Dispersion:
    """Blocks of votes in a row: the squared difference of bad ones from the block before.

    Differences of neighbours do not see a slow change of the level, such as weekends.

    Attributes:
        blocks: Of each of `SIZES`: votes and bad ones of the present block, bad ones of the block
            before (-1 for none), sum of the squared differences, number of differences.
    """

    blocks: list[list[int]] = field(default_factory=lambda: [[0, 0, -1, 0, 0] for _ in SIZES])

    def add(self, *, bad: bool) -> None:
        """One vote."""
        for size, block in zip(SIZES, self.blocks, strict=True):
            block[0] += 1
            block[1] += bad
            if block[0] == size:
                if block[2] >= 0:
                    block[3] += (block[1] - block[2]) ** 2
                    block[4] += 1
                block[:3] = [0, 0, block[1]]

    def factor(self, rate: float) -> float:
        """The variance of blocks over that of independent votes; 1 where chance explains it.

        Args:
            rate: Share of bad votes.
        """
        found = 1.0
        for size, (_, _, _, squares, pairs) in zip(SIZES, self.blocks, strict=True):
            alone = size * rate * (1 - rate)
            if pairs >= FEWEST:
                ratio = squares / (2 * pairs * alone)
                error = math.sqrt((3 + 1 / alone) / pairs)
                if ratio > 1 + SURE * error:
                    found = max(found, ratio - error)
        return found

    def to_json(self) -> list[list[int]]:
        """To go on after a restart."""
        return self.blocks

    @classmethod
    def from_json(cls, content: Any) -> Dispersion:
        """The reverse of `to_json`."""
        return cls([list(one) for one in content])
