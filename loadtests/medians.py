"""What a few noisy ratios say of their median."""

from __future__ import annotations

from math import comb
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def median_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Two of the values that have the median of their distribution between them.

    By order statistics: how many of n values lie below the median is binomial (n, 1/2), whatever
    the distribution is (Conover, Practical Nonparametric Statistics, 3.2). Of fewer than 6 values
    no two reach 0.95: then the least and the most.

    Args:
        values: Independent, at least one, in any order.
        confidence: That they do.
    """
    ordered = sorted(values)
    count = len(ordered)
    cut, outside = 0, 2.0 / 2**count  # leaving out `cut` values at either end
    while outside + 2.0 * comb(count, cut + 1) / 2**count <= 1.0 - confidence:
        cut += 1
        outside += 2.0 * comb(count, cut) / 2**count
    return ordered[cut], ordered[count - 1 - cut]


def ratio_figures(name: str, ratios: Sequence[float]) -> dict[str, float]:
    """The median of ratios with its bounds, and the range that they are in."""
    low, high = median_interval(ratios)
    return {
        f"{name}_median": median(ratios),
        f"{name}_median_from": low,
        f"{name}_median_to": high,
        f"{name}_least": min(ratios),
        f"{name}_most": max(ratios),
    }
