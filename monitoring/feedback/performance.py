"""Quality figures of labelled predictions, with 95 % intervals. Pure."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .intervals import Estimate, f1, mean, root_mean_square, share
from .outputs import CLASSIFICATION
from .ranking import average_precision, roc_auc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .intervals import Units
    from .outputs import Floats

#: Bins of a confidence, for the calibration error.
CALIBRATION_BINS: Final = 20
#: Of two classes, fewer rows of one have no interval of a loss.
FEWEST_OF_A_CLASS: Final = 20
#: A probability of 0 for what turned out true would make the log loss infinite.
_SMALLEST_SCORE: Final = 1e-7
#: So no log loss is larger than this, and no Brier score of two, or of several classes.
_LARGEST_LOG_LOSS: Final = -math.log(_SMALLEST_SCORE)
_LARGEST_BRIER: Final = (1.0, 2.0)
#: Classes that are listed one by one, the commonest first.
MAX_LISTED: Final = 50
DELAY_QUANTILES: Final = (0.5, 0.9, 0.99)
#: What of labelled predictions is no array of numbers.
_NOT_NUMBERS: Final = ("kind", "truth", "predicted", "units", "largest_error")


@dataclass(frozen=True, slots=True)
class Labelled:
    """Predictions that have a label, one entry per label. Unknown scores are NaN.

    Attributes:
        kind: ``classification`` or ``regression``.
        truth: True values: names of classes, or numbers.
        predicted: Predicted values, as in `truth`.
        right: 1 where they are equal; of classes.
        loss: 0 or 1 of a class, the absolute error of a number.
        confidence: Probability of the predicted class.
        true_score: Probability of the true class.
        brier: Squared distance of the probabilities from the truth.
        positive_score: Probability of the positive class, where there are two.
        positive: 1 where the truth is the positive class, 0 where not, NaN where there is none.
        delays: Seconds from the prediction until its label was received.
        units: The number of the unit of each, from 0; ``None`` where each is one by itself.
        largest_error: Largest absolute error of a number that is possible; ``None`` if unknown.
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
    units: Units = None
    largest_error: float | None = None


@dataclass(slots=True)
class Performance:
    """The figures of one group of labelled predictions.

    Attributes:
        kind: ``classification`` or ``regression``; empty without labels.
        labels: Number of labels.
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
        """The figures as JSON values."""
        return asdict(self)


def measure(rows: Labelled) -> Performance:
    """All figures that can be had of these rows."""
    count = len(rows.loss)
    if not count:
        return Performance()
    found = Performance(rows.kind, count, figures_of(rows))
    if rows.kind == CLASSIFICATION:
        found.classes = _by_class(rows)
    quantiles = np.quantile(np.maximum(rows.delays, 0.0), DELAY_QUANTILES).tolist()
    found.delay_seconds = {
        f"p{q * 100:g}": value for q, value in zip(DELAY_QUANTILES, quantiles, strict=True)
    }
    return found


def figures_of(rows: Labelled) -> dict[str, Estimate]:
    """The figures of all classes, or numbers, together; none without rows."""
    if not len(rows.loss):
        return {}
    figures = _of_classes(rows) if rows.kind == CLASSIFICATION else _of_numbers(rows)
    return {name: one for name, one in figures.items() if one is not None}


def accuracy(right: Floats, units: Units) -> Estimate | None:
    """The share of right predictions of classes.

    Args:
        right: 1 where a prediction is right, else 0; one of each label.
        units: As `Labelled.units`.
    """
    return share(right, np.ones(len(right)), units)


def mean_absolute_error(
    losses: Floats, units: Units, largest_error: float | None
) -> Estimate | None:
    """The mean absolute error of predicted numbers.

    Args:
        losses: The absolute error of each label.
        units: As `Labelled.units`.
        largest_error: As `Labelled.largest_error`.
    """
    return _positive(mean(losses, units, largest_error))


def _of_numbers(rows: Labelled) -> dict[str, Estimate | None]:
    errors = np.asarray(rows.predicted, float) - np.asarray(rows.truth, float)
    how = rows.units, rows.largest_error
    return {
        "mae": mean_absolute_error(rows.loss, *how),
        "rmse": root_mean_square(errors, *how),
        "bias": mean(errors, *how, signed=True),
    }


def _of_classes(rows: Labelled) -> dict[str, Estimate | None]:
    units = rows.units
    figures = {"accuracy": accuracy(rows.right, units)}
    scored = ~np.isnan(rows.true_score)
    if scored.any():
        losses = log_losses(rows.true_score[scored])
        figures["log_loss"] = _of_scores(losses, rows, scored, _LARGEST_LOG_LOSS)
        known = ~np.isnan(rows.brier)
        several = bool(np.isnan(rows.positive_score[known]).any())
        figures["brier"] = _of_scores(rows.brier[known], rows, known, _LARGEST_BRIER[several])
    known = ~np.isnan(rows.confidence)
    if known.any():
        figures["calibration_error"] = calibration_error(rows.confidence[known], rows.right[known])
    binary = ~np.isnan(rows.positive_score) & ~np.isnan(rows.positive)
    if binary.any():
        ranked = rows.positive_score[binary], rows.positive[binary], _of(units, binary)
        figures["auc"] = roc_auc(*ranked)
        figures["pr_auc"] = average_precision(*ranked)
    return figures


def log_losses(true_scores: Floats) -> Floats:
    """The log loss of each row, from the probability of its true class."""
    found: Floats = -np.log(np.maximum(true_scores, _SMALLEST_SCORE))
    return found


def _of_scores(
    losses: Floats, rows: Labelled, chosen: NDArray[np.bool_], largest: float
) -> Estimate | None:
    """A mean of losses of probabilities; a class that few rows have decides it: then no interval.

    A row of a rare class loses hundreds of times more than others, and none may have come yet.
    No loss is larger than `largest`, so the interval holds whatever was missed.
    """
    found = mean(losses, _of(rows.units, chosen), largest)
    positive = rows.positive[chosen]
    rarer = min(float((positive > 0).sum()), float((positive == 0).sum()))
    if found is None or (not np.isnan(positive).any() and rarer < FEWEST_OF_A_CLASS):
        return None if found is None else Estimate(found.value)
    return _positive(replace(found, up_to=None))


def _of(units: Units, chosen: NDArray[np.bool_]) -> Units:
    return None if units is None else units[chosen]


def _positive(found: Estimate | None) -> Estimate | None:
    """Of what cannot be negative."""
    if found is None or found.low is None:
        return found
    return replace(found, low=max(0.0, found.low))


def calibration_error(confidence: Floats, right: Floats) -> Estimate:
    """Mean distance of confidence from accuracy over bins of confidence; no interval is known."""
    bins = bin_of(confidence, CALIBRATION_BINS)
    counts = np.bincount(bins, minlength=CALIBRATION_BINS)
    gaps = np.bincount(bins, confidence - right, CALIBRATION_BINS)
    error = float(np.abs(gaps).sum() / counts.sum())
    return Estimate(error)


def bin_of(scores: Floats, bins: int) -> NDArray[np.int64]:
    """The bin of each probability."""
    found: NDArray[np.int64] = np.clip((scores * bins).astype(np.int64), 0, bins - 1)
    return found


def _by_class(rows: Labelled) -> dict[str, dict[str, Any]]:
    listed = sorted((Counter(rows.truth) | Counter(rows.predicted)).most_common(MAX_LISTED))
    numbers = {name: number for number, (name, _) in enumerate(listed)}
    truth, predicted = (
        np.array([numbers.get(name, -1) for name in names], np.int64)
        for names in (rows.truth, rows.predicted)
    )
    found = {}
    for name, number in numbers.items():
        actual, given = (truth == number).astype(float), (predicted == number).astype(float)
        hits = actual * given
        found[name] = {
            "support": int(actual.sum()),
            "precision": share(hits, given, rows.units),
            "recall": share(hits, actual, rows.units),
            "f1": f1(hits, given, actual, rows.units),
        }
    return found


def pick(rows: Labelled, chosen: NDArray[np.int64]) -> Labelled:
    """Some of the rows."""
    places = chosen.tolist()
    numbers = (one.name for one in fields(Labelled) if one.name not in _NOT_NUMBERS)
    return Labelled(
        kind=rows.kind,
        truth=[rows.truth[place] for place in places],
        predicted=[rows.predicted[place] for place in places],
        units=None if rows.units is None else rows.units[chosen],
        largest_error=rows.largest_error,
        **{name: getattr(rows, name)[chosen] for name in numbers},
    )
