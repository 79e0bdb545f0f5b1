"""Divides the rows of a baseline: one half chooses the bins, the other is counted. Pure.

Bins that are chosen from the rows that are counted fit these rows better than any others: the most
frequent categories of a sample are those that chance favoured, none of its rows is new, none lies
beyond its own extremes. Each window would then differ from the baseline although nothing has
changed. So one half of the rows chooses the bins and the other half is counted: given the bins, the
counted rows and the rows of a window without drift have the same law, whatever the column holds.
The share of counted rows that fall into NEW is the held-out estimate of the unseen mass that Good
(1953) and Turing estimate by the categories seen once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_INCREMENT: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND: Final = np.uint64(0x94D049BB133111EB)


def scrambled(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A pseudo-random whole number for each whole number (SplitMix64, Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        mixed = (numbers + np.uint64(1)) * _INCREMENT
        mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST
        mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
    return mixed ^ (mixed >> np.uint64(31))


def counted(rows: int, start: int = 0) -> NDArray[np.bool_]:
    """A mask of the rows that are counted; the others choose the bins.

    Of two rows that follow each other one is counted, and chance says which: both halves cover the
    same time, and no rhythm of the traffic separates them. The choice depends on the place of a
    row only, so that all columns of a table and both passes over a file agree.

    Args:
        rows: Number of rows.
        start: Place of the first of them.

    Returns:
        bool, one for each row.
    """
    places = np.arange(start, start + rows, dtype=np.uint64)
    coin = scrambled(places >> np.uint64(1)) & np.uint64(1)
    chosen: NDArray[np.bool_] = (places & np.uint64(1)) != coin
    return chosen
