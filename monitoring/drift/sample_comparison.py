"""The distance of a window from the baseline, and its probability by chance alone. Pure.

Both are counts over the same bins. Bins that expect fewer than five rows are joined first; which
ones depends on the sum of both counts only, so that joining favours neither. What belongs to the
ordinary bins is compared by the two-sample chi-square statistic; what is rare or exceptional
(missing, invalid, outside the range, never seen) by the exact upper tail of its number.

The population stability index (PSI) says how large a difference is. From noise alone it has a mean
of (bins - 1) (1/N + 1/m), which is taken off (Yurdakul 2018).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from penstock.monitoring.probability import binomial_upper_tail, chi_square_survival

from .components import (
    ALL,
    LOCATION,
    REST,
    SCALE,
    SINGLE,
    Statistic,
    moved_scores,
    of_tail,
    single_bin,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Expected rows below which the chi-square approximation is not trusted.
LEAST_EXPECTED: Final = 5.0
#: Rows added to each bin, so that an empty one has a logarithm.
_PRIOR: Final = 0.5


@dataclass(frozen=True, slots=True)
class Comparison:
    """A window beside the baseline, for one feature.

    Attributes:
        rows: Rows in the window.
        effective_rows: ``1 / (1/N + 1/m)``: what the two together are worth.
        psi: Population stability index, corrected for its bias; can be slightly negative.
        statistic: Chi-square, two samples, of the bins that were not joined to the rest.
        degrees: Degrees of freedom of it; 0 when nothing could be compared.
        rest_tail: Probability of so many rare or exceptional rows; 1 if there were none.
        moved: Largest change of the share of one bin.
        divergence: Jensen-Shannon distance, base 2, between 0 and 1; for display.
        tests: Results of all tests of `components` that could be made, by name.
    """

    rows: int
    effective_rows: float
    psi: float
    statistic: float
    degrees: int
    rest_tail: float
    moved: float
    divergence: float
    tests: Mapping[str, Statistic] = field(default_factory=dict)

    def p_value(self, dispersion: float = 1.0) -> float:
        """Probability by chi-square over all bins and the rest of a difference like this by chance.

        Args:
            dispersion: How much more healthy windows vary than independent rows do; at least 1.
        """
        main = (
            chi_square_survival(self.statistic / dispersion, self.degrees) if self.degrees else 1.0
        )
        if self.rest_tail >= 1.0:
            return main
        return min(1.0, 2 * min(main, math.pow(self.rest_tail, 1 / dispersion)))


def compare(
    baseline: Sequence[int], window: Sequence[int], exceptional: Sequence[bool], ordered: int = 0
) -> Comparison:
    """Compare counts over the same bins.

    Args:
        baseline: Rows per bin.
        window: Rows per bin.
        exceptional: Which bins hold what should not be there.
        ordered: The first so many bins hold ascending numbers; 0 for categories.
    """
    reference, rows = sum(baseline), sum(window)
    if not reference or not rows:
        return Comparison(rows, 0.0, 0.0, 0.0, 0, 1.0, 0.0, 0.0)
    effective = reference * rows / (reference + rows)
    groups, rest = _join(baseline, window, exceptional, ordered)
    statistic = _chi_square(groups)
    share = rows / (reference + rows)
    together = rest[0] + rest[1]
    tail = binomial_upper_tail(rest[1], together, share)
    bins = len(groups)
    if together:
        groups = [*groups, rest]
    psi, divergence, moved = _distances(groups, reference, rows)
    degrees = max(0, bins - 1)
    tests = {REST: of_tail(tail)} if together else {}
    if degrees:
        tests[ALL] = Statistic(statistic, degrees)
    tests |= _directed(baseline, window, ordered)
    bias = (bins - 1 + min(1.0, together * share)) / effective if bins else 0.0
    return Comparison(
        rows=rows,
        effective_rows=effective,
        psi=psi - bias,
        statistic=statistic,
        degrees=degrees,
        rest_tail=tail,
        moved=moved,
        divergence=divergence,
        tests=tests,
    )


def _directed(baseline: Sequence[int], window: Sequence[int], ordered: int) -> dict[str, Statistic]:
    """The tests that look for one kind of change."""
    found = {}
    single = single_bin(baseline, window)
    if single is not None:
        found[SINGLE] = single
    moved = moved_scores(baseline[:ordered], window[:ordered])
    if moved is not None:
        found[LOCATION], found[SCALE] = moved
    return found


def _join(
    baseline: Sequence[int], window: Sequence[int], exceptional: Sequence[bool], ordered: int
) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """Groups of bins as (baseline, window) rows, and the rest, which is too rare for a group.

    Neighbours are joined where bins ascend, and all that are few where they do not.
    """
    reference, rows = sum(baseline), sum(window)
    least = LEAST_EXPECTED * (reference + rows) / min(reference, rows)
    groups: list[tuple[int, int]] = []
    few = rest = (0, 0)
    for place, (before, now) in enumerate(zip(baseline, window, strict=True)):
        if exceptional[place]:
            if before + now >= least:
                groups.append((before, now))
            else:
                rest = (rest[0] + before, rest[1] + now)
            continue
        if before + now >= least and not (place < ordered and few != (0, 0)):
            groups.append((before, now))
            continue
        few = (few[0] + before, few[1] + now)
        if place < ordered and sum(few) >= least:
            groups.append(few)
            few = (0, 0)
    if sum(few) >= least:
        groups.append(few)
    else:
        rest = (rest[0] + few[0], rest[1] + few[1])
    if sum(rest) >= least:
        groups.append(rest)
        rest = (0, 0)
    return groups, rest


def _chi_square(groups: Sequence[tuple[int, int]]) -> float:
    """Over the groups, given how many rows of each sample are in them."""
    reference, rows = sum(one[0] for one in groups), sum(one[1] for one in groups)
    if not reference or not rows:
        return 0.0
    # What (O - E)^2 / E over both samples comes down to.
    squares = ((now * reference - before * rows) ** 2 / (before + now) for before, now in groups)
    return sum(squares) / (reference * rows)


def _distances(
    groups: Sequence[tuple[int, int]], reference: int, rows: int
) -> tuple[float, float, float]:
    """PSI, Jensen-Shannon distance, largest change of a share."""
    bins = len(groups)
    weight = _PRIOR * bins
    psi = divergence = moved = 0.0
    for before, now in groups:
        r = (before + _PRIOR) / (reference + weight)
        # The prior of the window is the baseline: a bin that is empty in both adds nothing.
        c = (now + weight * r) / (rows + weight)
        middle = (r + c) / 2
        psi += (c - r) * math.log(c / r)
        divergence += (r * math.log2(r / middle) + c * math.log2(c / middle)) / 2
        moved = max(moved, abs(now / rows - before / reference))
    return psi, math.sqrt(max(0.0, divergence)), moved
