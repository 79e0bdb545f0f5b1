"""Each window beside all other windows: the tests of `sample_comparison.compare` for all at once.

The rows of a window and those of the others together are the same for every window, so the scores
of the bins are computed once. A calibration compares up to a thousand windows; one call of
`compare` for each takes about forty times as long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from penstock.monitoring.fisher import exact_tail
from penstock.monitoring.probability import binomial_upper_tails

from .components import ALL, LOCATION, REST, SCALE, SINGLE, bin_scores, of_tails
from .sample_comparison import LEAST_EXPECTED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class _Groups(NamedTuple):
    """Joined bins of each window.

    Attributes:
        both: Rows of all windows in each group, windows x groups; 0 where there is no such group.
        now: Rows of the window in each group.
        rest: Rows of all windows in the bins that are too rare for a group.
        rest_now: Rows of the window in these bins.
    """

    both: NDArray[np.float64]
    now: NDArray[np.float64]
    rest: NDArray[np.float64]
    rest_now: NDArray[np.float64]


def leave_one_out(
    windows: NDArray[np.int64], exceptional: Sequence[bool], ordered: int = 0
) -> dict[str, NDArray[np.float64]]:
    """The tests of each window against all others together.

    Args:
        windows: Counts, windows x bins; each window has rows, and there are two windows or more.
        exceptional: Which bins hold what should not be there.
        ordered: The first so many bins hold ascending numbers; 0 for categories.

    Returns:
        By the name of a test in `components`: for each window in which the test could be made, the
        statistic, its degrees of freedom and the effective rows.
    """
    counts = windows.astype(np.float64)
    total = counts.sum(axis=0)
    rows = counts.sum(axis=1)
    reference = total.sum() - rows
    effective = reference * rows / total.sum()
    groups = _joined(
        counts, LEAST_EXPECTED * total.sum() / np.minimum(reference, rows), exceptional, ordered
    )
    made = {
        REST: _rest(groups, rows / total.sum()),
        ALL: _chi_square(groups),
        SINGLE: _single(windows, counts),
        **_moved(counts[:, :ordered]),
    }
    found = {}
    for name, (value, degrees) in made.items():
        there = degrees > 0
        if there.any():
            found[name] = np.stack([value, degrees, effective], axis=1)[there]
    return found


def _joined(
    counts: NDArray[np.float64],
    least: NDArray[np.float64],
    exceptional: Sequence[bool],
    ordered: int,
) -> _Groups:
    """The groups that `sample_comparison` makes, bin after bin, of all windows at once."""
    number, bins = counts.shape
    both, now = np.zeros((number, bins + 2)), np.zeros((number, bins + 2))
    few, few_now, rest, rest_now = np.zeros((4, number))
    for place, in_all in enumerate(counts.sum(axis=0).tolist()):
        here = counts[:, place]
        alone = in_all >= least
        if place < ordered and not exceptional[place]:
            alone &= few == 0
        both[alone, place], now[alone, place] = in_all, here[alone]
        left = ~alone
        if exceptional[place]:
            rest[left] += in_all
            rest_now[left] += here[left]
            continue
        few[left] += in_all
        few_now[left] += here[left]
        if place < ordered:
            full = left & (few >= least)
            both[full, place], now[full, place] = few[full], few_now[full]
            few[full] = few_now[full] = 0
    full = few >= least
    both[full, bins], now[full, bins] = few[full], few_now[full]
    rest, rest_now = rest + np.where(full, 0, few), rest_now + np.where(full, 0, few_now)
    full = rest >= least
    both[full, bins + 1], now[full, bins + 1] = rest[full], rest_now[full]
    return _Groups(both, now, np.where(full, 0, rest), np.where(full, 0, rest_now))


def _rest(
    groups: _Groups, share: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    tails = binomial_upper_tails(groups.rest_now, groups.rest, share)
    return of_tails(tails), (groups.rest > 0).astype(np.float64)


def _chi_square(groups: _Groups) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    before = groups.both - groups.now
    reference, rows = before.sum(axis=1), groups.now.sum(axis=1)
    away = groups.now * reference[:, None] - before * rows[:, None]
    squares = away * away / np.where(groups.both > 0, groups.both, np.inf)
    product = reference * rows
    value = squares.sum(axis=1) / np.where(product > 0, product, np.inf)
    return value, np.maximum(0.0, (groups.both > 0).sum(axis=1) - 1)


def _single(
    windows: NDArray[np.int64], counts: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    total, rows = counts.sum(axis=0), counts.sum(axis=1)
    reference = total.sum() - rows
    bins = int((total > 0).sum())
    if bins < 2:  # noqa: PLR2004
        return np.zeros(len(rows)), np.zeros(len(rows))
    away = counts * reference[:, None] - (total - counts) * rows[:, None]
    away = away * away / np.where(total > 0, total, np.inf) / np.maximum(1, total.sum() - total)
    most = away.argmax(axis=1)
    all_rows = int(windows.sum())
    tails = []
    for place, row in zip(most.tolist(), windows, strict=True):
        new, drawn, both = int(row[place]), int(row.sum()), int(total[place])
        old, others = both - new, all_rows - drawn
        more = (new, drawn) if new * others >= old * drawn else (old, others)
        tails.append(exact_tail(more[0], both, more[1], all_rows))
    return of_tails(np.minimum(1.0, 2 * bins * np.array(tails))), np.ones(len(rows))


def _moved(
    counts: NDArray[np.float64],
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Location and scale of the ascending bins; nothing if fewer than three of them hold rows."""
    counts = counts[:, counts.any(axis=0)]
    if counts.shape[1] < 3:  # noqa: PLR2004
        return {}
    total, rows = counts.sum(axis=0), counts.sum(axis=1)
    together = total.sum()
    reference = together - rows
    there = (reference > 0) & (rows > 0)
    rows, reference = np.where(there, rows, 1.0), np.where(there, reference, 1.0)
    scores, variances = bin_scores(total / together)
    moved = (counts / rows[:, None] - (total - counts) / reference[:, None]) @ scores.T
    factor = (together - 1) * rows * reference / together**2
    values = factor[:, None] * moved * moved / variances
    degrees = there.astype(np.float64)
    return {LOCATION: (values[:, 0], degrees), SCALE: (values[:, 1], degrees)}
