"""The likeness of the rows of one unit, and the independent rows that it is worth. Pure.

A unit is what rows come in, such as a user. Where a user is always right or always wrong, a hundred
rows of one user tell no more than one row. The spread between units shows this only if enough of
them differ; of a rare error few do. Pairs of rows within units show it sooner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from .outputs import Floats

#: The rows of a unit are taken for equal as by so many units, until others show what they are.
PRIOR: Final = 1.0


def design_effect(hits: Floats, trials: Floats) -> float:
    """The number of rows worth one independent row: 1 if rows of one unit are not alike.

    The correlation within units compares how often two rows of one unit differ with how often two
    rows of two units do. It is drawn towards 1 where few units have an error, or few a hit: such
    a sample cannot show that rows differ.
    Source: L. Kish, "Survey sampling" (1965), for ``1 + correlation * (rows of a unit - 1)``, with
    the mean of a row for units of unequal size.

    Args:
        hits: Hits of each unit.
        trials: Trials of each unit, above 0.
    """
    count, right = float(trials.sum()), float(hits.sum())
    squares = float((trials**2).sum())
    pairs = (squares - count) / 2
    if pairs <= 0:
        return 1.0
    differ = float((hits * (trials - hits)).sum())
    others = (count**2 - squares) / 2
    differ_between = right * (count - right) - differ
    likeness = 1.0
    if differ_between > 0:
        likeness = max(0.0, 1 - differ / pairs * others / differ_between)
    shown = min(int(np.count_nonzero(hits)), int(np.count_nonzero(hits < trials)))
    likeness = (shown * likeness + PRIOR) / (shown + PRIOR)
    return 1 + likeness * (squares / count - 1)
