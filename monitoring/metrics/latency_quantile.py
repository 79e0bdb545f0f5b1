"""Quantiles of the histograms in counter files."""

from __future__ import annotations

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
