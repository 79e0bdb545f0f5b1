"""Ranking quality of scores: exact areas under curves, with 95 % intervals. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .intervals import Estimate, by_unit, count_units, through_logit

if TYPE_CHECKING:
    from .intervals import Units
    from .outputs import Floats


def midranks(values: Floats) -> Floats:
    """Ranks from 1; equal values share the mean of theirs."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    counts = np.diff(np.append(starts, len(values)))
    ranks = np.empty(len(values))
    ranks[order] = np.repeat(starts + (counts + 1) / 2, counts)
    return ranks


def roc_auc(scores: Floats, positive: Floats, units: Units = None) -> Estimate | None:
    """The area under the ROC curve: a positive is above a negative with this probability.

    Exact, by ranks; equal scores count one half. The interval is that of DeLong, DeLong and
    Clarke-Pearson (1988), with the sums by unit of N. Obuchowski (1997).

    Args:
        scores: Scores of the positive class.
        positive: 1 or 0.
        units: Of each row.

    Returns:
        ``None`` without positives or without negatives.
    """
    chosen = positive > 0
    if chosen.all() or not chosen.any():
        return None
    value, parts = placements(scores, positive)
    error = math.sqrt(float((by_unit(parts, units) ** 2).sum()))
    return through_logit(value, error, _fewer(chosen, units))


def placements(scores: Floats, positive: Floats) -> tuple[float, Floats]:
    """The area under the ROC curve, and how much each row adds to its error.

    The parts add up to 0, and their squares to the variance of the area (DeLong, DeLong and
    Clarke-Pearson 1988). The squares of the differences of two models' parts, row by row, add up to
    the variance of the difference of their areas.

    Args:
        scores: Scores of the positive class.
        positive: 1 or 0, both of them.
    """
    chosen = positive > 0
    positives, negatives = int(chosen.sum()), int((~chosen).sum())
    ranks = midranks(scores)
    above = np.empty(len(scores))
    # Share of the other kind that each row beats, or is beaten by.
    above[chosen] = (ranks[chosen] - midranks(scores[chosen])) / negatives
    above[~chosen] = 1 - (ranks[~chosen] - midranks(scores[~chosen])) / positives
    value = float(above[chosen].mean())
    return value, (above - value) / np.where(chosen, positives, negatives)


def average_precision(scores: Floats, positive: Floats, units: Units = None) -> Estimate | None:
    """The area under the precision-recall curve, as the mean precision at each positive.

    Rows of equal scores are taken together. The standard error is that of the infinitesimal
    jackknife (L. Jaeckel 1972), which says how much each row, or unit, changes the area; it is at
    least the binomial one of K. Boyd, K. Eng and C. Page, "Area under the precision-recall curve"
    (2013), who also show that the logit is the way to state it.

    Args:
        scores: Scores of the positive class.
        positive: 1 or 0.
        units: Of each row.

    Returns:
        ``None`` without positives.
    """
    total = float(positive.sum())
    if not total:
        return None
    order = np.argsort(-scores, kind="stable")
    ordered, ranked = scores[order], positive[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    rows, found = ends + 1.0, np.cumsum(ranked)[ends]
    here, precision = np.diff(found, prepend=0.0), found / rows
    value = float((here * precision).sum() / total)
    place = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=-1))
    # What a row changes at all positives of its score and below: it is one more row, or positive.
    lost, gained = (
        np.cumsum((here * one)[::-1])[::-1][place] for one in (found / rows**2, 1 / rows)
    )
    changes = np.empty(len(scores))
    changes[order] = (ranked * (gained + precision[place] - value) - lost) / total
    error = math.sqrt(float((by_unit(changes, units) ** 2).sum()))
    count = count_units(None if units is None else units[positive > 0], int(total))
    least = math.sqrt(value * (1 - value) / count)
    return through_logit(value, max(error, least), _fewer(positive > 0, units))


def _fewer(chosen: np.ndarray, units: Units) -> int:
    """Units of the rarer kind."""
    kinds = (chosen, ~chosen)
    return min(count_units(None if units is None else units[k], int(k.sum())) for k in kinds)
