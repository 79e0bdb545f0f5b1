"""Rules on single values learnt from the baseline: range, categories, share of missing values.

Rows outside are counted, never refused. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .baseline import Reference
    from .bins import Counts
    from .moments import Moments


class Faults(NamedTuple):
    """Rows of one feature that are not as in the baseline; a row has one kind at most.

    Attributes:
        range: Numbers outside the limits, infinite ones among them.
        domain: Categories that the baseline has not.
        missing: NaN, empty texts.
    """

    range: int = 0
    domain: int = 0
    missing: int = 0


def outside(reference: Reference, values: NDArray[np.float64], moments: Moments) -> int:
    """Numbers outside the limits.

    Args:
        reference: Has the limits.
        values: float64, one axis.
        moments: Moments of these values: mostly they say enough.
    """
    if not reference.limits:
        return 0
    low, high = reference.limits
    if moments.number == values.size and low <= moments.least and moments.most <= high:
        return 0
    return int(np.count_nonzero((values < low) | (values > high)))


def faults_of(reference: Reference, counts: Counts, outside: int) -> Faults:
    """The faults of rows.

    Args:
        reference: Says what the bins are.
        counts: Of the rows, over its bins.
        outside: How many of the numbers are outside the limits.
    """
    if reference.categorical:
        return Faults(0, int(counts[-2]), int(counts[-1]))
    return Faults(outside, 0, int(counts[-2]))


def usual_faults(reference: Reference) -> tuple[float, float, float]:
    """Of each kind, the faults that as many rows as the baseline has may have, and be healthy.

    A limit taken from the data is passed by the next data now and then. Outside the extremes of
    n values lies a share with the law Beta(2, n - 1), whatever the values (Wilks 1941): two
    more than were seen. Of categories, the rows that were counted show the share of those that
    the rows before them had not (the unseen mass of Good 1953, estimated from held-out rows).
    """
    counts = reference.counts
    if reference.categorical:
        return 0.0, float(counts[-2]) + 1.0, float(counts[-1]) + 1.0
    beyond = 0.0002 * reference.rows  # what the limits leave outside
    return beyond + float(counts[-1]) + 2.0, 0.0, float(counts[-2]) + 1.0
