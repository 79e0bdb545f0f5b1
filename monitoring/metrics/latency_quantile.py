"""Quantiles of the histograms in counter files, and the reverse."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from . import layout

if TYPE_CHECKING:
    from collections.abc import Sequence


def latency_quantile(buckets: Sequence[int], share: float) -> float | None:
    """A quantile of a histogram of seconds, linear within its bucket, as Prometheus has it.

    Args:
        buckets: Counts by the bounds in `layout.SECONDS`, and of what is above them.
        share: 0 to 1.

    Returns:
        Seconds; ``None`` if nothing was counted.
    """
    total = sum(buckets)
    if not total:
        return None
    rank, seen, low = share * total, 0, 0.0
    for count, high in zip(buckets, layout.SECONDS, strict=False):
        if seen + count >= rank:
            return low + (high - low) * (rank - seen) / count if count else high
        seen, low = seen + count, high
    return low


def share_above(buckets: Sequence[int], seconds: float) -> float:
    """The share of a histogram of seconds that is above a bound, linear within its bucket.

    Args:
        buckets: As in `latency_quantile`.
        seconds: The bound.

    Returns:
        0 to 1; 0 if nothing was counted.
    """
    total, low, above = sum(buckets), 0.0, 0.0
    for count, high in zip(buckets, (*layout.SECONDS, math.inf), strict=True):
        if seconds <= low:
            above += count
        elif seconds < high < math.inf:
            above += count * (high - seconds) / (high - low)
        low = high
    return above / total if total else 0.0
