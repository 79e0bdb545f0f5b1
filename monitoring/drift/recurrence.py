"""Divides the variation of windows: what comes back in a cycle, and the rest. Pure.

A window of a cycle is compared with the other windows at the same place of the cycle. What is left
between these did not come back: it wanders, and windows of the future are further away than those
that were seen. Two days of seven in a row may be unlike the others: one week cannot show that they
come back, but if nothing at all is left beside them, there is nothing that wanders.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from penstock.monitoring.probability import student_tails

from .components import ALL, LOCATION, SCALE, SINGLE, bin_scores, of_tails
from .sample_comparison import LEAST_EXPECTED

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Periods of a week, of which two in a row may be unlike the others.
_WEEK: Final = 7
_WEEKEND: Final = 2


def places(number: int, period: int) -> NDArray[np.int64]:
    """The place of each window in its cycle.

    Args:
        number: Of windows in the order of time; twice the period or more.
        period: Of the cycle, in windows.
    """
    return np.arange(number) % period


def places_with_weekend(counts: NDArray[np.int64], period: int) -> NDArray[np.int64] | None:
    """The same, apart for the two periods of each seven that are least like the others.

    Args:
        counts: Windows in the order of time, by bins.
        period: Of the cycle, in windows.

    Returns:
        ``None`` if the windows are of less than seven periods.
    """
    number, week = len(counts), _WEEK * period
    if number < week:
        return None
    shares = counts / counts.sum(axis=1)[:, None]
    mean = counts.sum(axis=0) / counts.sum()
    away = shares[:, mean > 0] / np.sqrt(mean[mean > 0])
    sums, sizes = np.zeros((week, away.shape[1])), np.zeros(week)
    np.add.at(sums, np.arange(number) % week, away)
    np.add.at(sizes, np.arange(number) % week, 1.0)
    by_place = sums / sizes[:, None]
    by_place -= np.tile(by_place.reshape(_WEEK, period, -1).mean(axis=0), (_WEEK, 1))
    # Sum over two periods from each place on, the week being a circle; at each place of the cycle.
    circle = np.concatenate([by_place, by_place[:period]])
    two = circle[:week] + circle[period:]
    strength = (two**2).sum(axis=1)
    running = np.cumsum(np.concatenate([[0.0], strength, strength[: period - 1]]))
    start = int((running[period:] - running[:-period]).argmax())
    apart = (np.arange(number) - start) % week < _WEEKEND * period
    found: NDArray[np.int64] = places(number, period) + period * apart
    return found


def compare_within(
    counts: NDArray[np.int64], groups: NDArray[np.int64], ordered: int = 0
) -> dict[str, NDArray[np.float64]]:
    """The tests of each window against the others of its group, as `leave_one_out` gives them.

    Bins that expect fewer than five rows in a window are taken together for the chi-square test
    and left out of the test of one bin, whose tail is taken for normal.

    Args:
        counts: Windows in the order of time, by bins; each has rows.
        groups: Group of each window; those of one window are left out.
        ordered: The first so many bins hold ascending numbers; 0 for categories.
    """
    sums = np.zeros((int(groups.max()) + 1, counts.shape[1]))
    np.add.at(sums, groups, counts)
    several = np.bincount(groups)[groups] > 1
    now = counts[several].astype(np.float64)
    both = sums[groups[several]]
    rows, together = now.sum(axis=1), both.sum(axis=1)
    reference = together - rows
    effective = reference * rows / together
    made = {
        **_by_bins(now, both, LEAST_EXPECTED * together / np.minimum(reference, rows)),
        **_moved(now[:, :ordered], both[:, :ordered]),
    }
    return {
        name: np.stack([value, degrees, effective], axis=1)[degrees > 0]
        for name, (value, degrees) in made.items()
        if (degrees > 0).any()
    }


_Statistics = dict[str, tuple["NDArray[np.float64]", "NDArray[np.float64]"]]


def _by_bins(
    now: NDArray[np.float64], both: NDArray[np.float64], least: NDArray[np.float64]
) -> _Statistics:
    """Chi-square over the bins, and the bin that differs most."""
    rows, together = now.sum(axis=1), both.sum(axis=1)
    reference = together - rows
    enough = both >= least[:, None]
    few_now = np.where(enough, 0.0, now).sum(axis=1)
    few = np.where(enough, 0.0, both).sum(axis=1)
    parts = np.column_stack([np.where(enough, now, 0.0), np.where(few >= least, few_now, 0.0)])
    whole = np.column_stack([np.where(enough, both, 0.0), np.where(few >= least, few, 0.0)])
    away = (parts * together[:, None] - whole * rows[:, None]) ** 2
    squares = np.divide(away, whole, out=np.zeros_like(away), where=whole > 0)
    value = squares.sum(axis=1) / (reference * rows)
    bins = (whole > 0).sum(axis=1)
    # Each bin alone against all others.
    others = np.maximum(1.0, together[:, None] - whole)
    alone = (squares / others).max(axis=1) * together / (reference * rows)
    tails = bins * student_tails(np.sqrt(alone), np.full(len(alone), np.inf))
    tails = np.minimum(1.0, tails)
    degrees = np.maximum(0.0, bins - 1.0)
    return {ALL: (value, degrees), SINGLE: (of_tails(tails), np.minimum(1.0, degrees))}


def _moved(now: NDArray[np.float64], both: NDArray[np.float64]) -> _Statistics:
    """Location and scale of the ascending bins; nothing if fewer than three of them hold rows."""
    there = both.any(axis=0)
    now, both = now[:, there], both[:, there]
    if now.shape[1] < 3:  # noqa: PLR2004
        return {}
    scores, variances = bin_scores(now.sum(axis=0) / now.sum())
    rows, together = now.sum(axis=1), both.sum(axis=1)
    reference = together - rows
    able = (rows > 0) & (reference > 0)
    rows, reference = np.where(able, rows, 1.0), np.where(able, reference, 1.0)
    moved = (now / rows[:, None] - (both - now) / reference[:, None]) @ scores.T
    factor = (together - 1) * rows * reference / np.maximum(together, 1.0) ** 2
    values = factor[:, None] * moved * moved / variances
    degrees = able.astype(np.float64)
    return {LOCATION: (values[:, 0], degrees), SCALE: (values[:, 1], degrees)}


def profile(counts: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts of all windows of each group together."""
    sums = np.zeros((int(groups.max()) + 1, counts.shape[1]), np.int64)
    np.add.at(sums, groups, counts)
    found: NDArray[np.int64] = sums[sums.sum(axis=1) > 0]
    return found
