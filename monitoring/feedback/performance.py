"""How good labelled predictions were: figures with 95 % intervals. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .intervals import Estimate, area, f1, mean, root_mean_square, wilson
from .outputs import CLASSIFICATION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .outputs import Floats

#: Bins of a score, for the AUC and the calibration error.
SCORE_BINS: Final = 200
CALIBRATION_BINS: Final = 20
#: A probability of 0 for what turned out true would make the log loss infinite.
_SMALLEST_SCORE: Final = 1e-7
#: Classes that are listed one by one, the commonest first.
MAX_LISTED: Final = 50
DELAY_QUANTILES: Final = (0.5, 0.9, 0.99)


@dataclass(frozen=True, slots=True)
class Labelled:
    """Predictions whose truth is known, one entry per label. Unknown scores are NaN.

    Attributes:
        kind: ``classification`` or ``regression``.
        truth: Names of classes, or numbers.
        predicted: The same.
        right: 1 where they are equal; of classes.
        loss: 0 or 1 of a class, the absolute error of a number.
        confidence: Probability of the predicted class.
        true_score: Probability of the true class.
        brier: Squared distance of the probabilities from the truth.
        positive_score: Probability of the positive class, where there are two.
        positive: 1 where the truth is the positive class, 0 where not, NaN where there is none.
        delays: Seconds from the prediction until its label was received.
    """

    kind: str
    truth: Sequence[Any]
    predicted: Sequence[Any]
    right: Floats
    loss: Floats
    confidence: Floats
    true_score: Floats
    brier: Floats
    positive_score: Floats
    positive: Floats
    delays: Floats


@dataclass(slots=True)
class Performance:
    """The figures of one group of labelled predictions.

    Attributes:
        kind: ``classification`` or ``regression``; empty without labels.
        labels: How many.
        figures: By name.
        classes: By class, precision, recall, F1 and how often it was true.
        delay_seconds: Quantiles of the delay of the labels.
    """

    kind: str = ""
    labels: int = 0
    figures: dict[str, Estimate] = field(default_factory=dict)
    classes: dict[str, dict[str, Any]] = field(default_factory=dict)
    delay_seconds: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """For the wire."""
        return asdict(self)


def measure(rows: Labelled) -> Performance:
    """All figures that can be had of these rows."""
    count = len(rows.loss)
    if not count:
        return Performance()
    found = Performance(rows.kind, count)
    if rows.kind == CLASSIFICATION:
        figures = _of_classes(rows)
        found.classes = _by_class(rows)
    else:
        figures = _of_numbers(rows)
    found.figures = {name: one for name, one in figures.items() if one is not None}
    quantiles = np.quantile(np.maximum(rows.delays, 0.0), DELAY_QUANTILES).tolist()
    found.delay_seconds = {
        f"p{q * 100:g}": value for q, value in zip(DELAY_QUANTILES, quantiles, strict=True)
    }
    return found


def _of_numbers(rows: Labelled) -> dict[str, Estimate | None]:
    errors = np.asarray(rows.predicted, float) - np.asarray(rows.truth, float)
    squares = errors * errors
    total = float(squares.sum())
    return {
        "mae": _positive(mean(float(rows.loss.sum()), total, len(errors))),
        "rmse": root_mean_square(total, float((squares * squares).sum()), len(errors)),
        "bias": mean(float(errors.sum()), total, len(errors)),
    }


def _of_classes(rows: Labelled) -> dict[str, Estimate | None]:
    count = len(rows.right)
    figures = {"accuracy": wilson(float(rows.right.sum()), count)}
    scored = rows.true_score[~np.isnan(rows.true_score)]
    if len(scored):
        losses = -np.log(np.maximum(scored, _SMALLEST_SCORE))
        figures["log_loss"] = _mean(losses)
        figures["brier"] = _mean(rows.brier[~np.isnan(rows.brier)])
    known = ~np.isnan(rows.confidence)
    if known.any():
        figures["calibration_error"] = calibration_error(rows.confidence[known], rows.right[known])
    binary = ~np.isnan(rows.positive_score) & ~np.isnan(rows.positive)
    if binary.any():
        figures["auc"] = binned_auc(rows.positive_score[binary], rows.positive[binary])
    return figures


def _mean(values: Floats) -> Estimate | None:
    return _positive(mean(float(values.sum()), float((values * values).sum()), len(values)))


def _positive(found: Estimate | None) -> Estimate | None:
    """Of what cannot be negative."""
    return found and Estimate(found.value, max(0.0, found.low), found.high)


def calibration_error(confidence: Floats, right: Floats) -> Estimate:
    """Mean distance of confidence from accuracy over bins of confidence; no interval is known."""
    bins = bin_of(confidence, CALIBRATION_BINS)
    counts = np.bincount(bins, minlength=CALIBRATION_BINS)
    gaps = np.bincount(bins, confidence - right, CALIBRATION_BINS)
    error = float(np.abs(gaps).sum() / counts.sum())
    return Estimate(error, error, error)


def binned_auc(scores: Floats, positive: Floats) -> Estimate | None:
    """The area under the ROC curve, from `SCORE_BINS` bins; equal bins count one half."""
    bins = bin_of(scores, SCORE_BINS)
    positives = np.bincount(bins, positive, SCORE_BINS)
    negatives = np.bincount(bins, 1 - positive, SCORE_BINS)
    total = float(positives.sum()), float(negatives.sum())
    if not total[0] or not total[1]:
        return None
    below = np.cumsum(negatives) - negatives
    value = float((positives * (below + negatives / 2)).sum() / (total[0] * total[1]))
    return area(value, *total)


def bin_of(scores: Floats, bins: int) -> NDArray[np.int64]:
    """The bin of each probability."""
    found: NDArray[np.int64] = np.clip((scores * bins).astype(np.int64), 0, bins - 1)
    return found


def _by_class(rows: Labelled) -> dict[str, dict[str, Any]]:
    actual = Counter(rows.truth)
    predicted = Counter(rows.predicted)
    hits = Counter(t for t, p in zip(rows.truth, rows.predicted, strict=True) if t == p)
    listed = sorted((actual | predicted).most_common(MAX_LISTED))
    return {
        name: {
            "support": actual[name],
            "precision": wilson(hits[name], predicted[name]),
            "recall": wilson(hits[name], actual[name]),
            "f1": f1(hits[name], predicted[name], actual[name]),
        }
        for name, _ in listed
    }
