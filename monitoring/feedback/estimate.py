"""Estimates accuracy without labels, from the model's own probabilities.

The promise is checked once, with the labels of the reference: for each bin of confidence, how
often the prediction was right, made monotone. From then on the accuracy of any predictions is
estimated from their confidence alone ("confidence-based performance estimation"). It sees a change
of the inputs; it cannot see a change of what is true of them, and says so: `ASSUMPTION`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from .performance import CALIBRATION_BINS

if TYPE_CHECKING:
    from .outputs import Floats

ASSUMPTION: Final = (
    "an estimate from the model's own probabilities, calibrated with the first labels; it assumes "
    "that what is true of an input has not changed since (no concept drift)"
)
#: Least number of labels for a calibration.
MIN_LABELS: Final = 200


def calibrate(counts: Floats, right: Floats) -> list[float]:
    """Share of right predictions by bin of confidence, never falling (pool adjacent violators).

    Bins without labels take the middle of the bin, as far as its neighbours allow.

    Args:
        counts: Labels in each bin.
        right: Right predictions among them.
    """
    pools: list[list[float]] = []  # right, count, bins
    for bin_, (total, good) in enumerate(zip(counts.tolist(), right.tolist(), strict=True)):
        # One made-up label where the model claims to be: it keeps empty bins from breaking the row.
        pools.append([good + (bin_ + 0.5) / CALIBRATION_BINS, total + 1.0, 1])
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] > pools[-1][0] / pools[-1][1]:
            last = pools.pop()
            pools[-1] = [one + other for one, other in zip(pools[-1], last, strict=True)]
    return [good / total for good, total, bins in pools for _ in range(round(bins))]


def estimated_accuracy(histogram: Floats, calibration: list[float]) -> float | None:
    """Estimated accuracy of predictions with this histogram; ``None`` without predictions."""
    total = float(histogram.sum())
    return float(histogram @ np.array(calibration)) / total if total else None
