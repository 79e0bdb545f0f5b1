"""Finds the prediction and the probabilities among the outputs of a model. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.monitoring.samples.samples import BatchSample

    from .options import FeedbackOptions

Floats = NDArray[np.float64]
Array = NDArray[Any]

#: Columns of probabilities that are kept; of models with more classes only the prediction is.
MAX_CLASSES: Final = 64
#: How far probabilities of one row may add up to something other than 1.
_SUM_TOLERANCE: Final = 0.01
_HALF: Final = 0.5
CLASSIFICATION: Final = "classification"
REGRESSION: Final = "regression"


@dataclass(frozen=True, slots=True)
class Predictions:
    """The predictions of a batch.

    Attributes:
        kind: ``classification`` or ``regression``.
        values: One per row: numbers, or classes as the model calls them.
        scores: Rows x columns of probabilities; no columns where there are none.
        classes: All classes that there are, where the outputs tell.
    """

    kind: str
    values: Sequence[Any]
    scores: NDArray[np.float32]
    classes: tuple[Any, ...] = ()


def read_predictions(sample: BatchSample, options: FeedbackOptions) -> Predictions | None:
    """The predictions in the outputs of a batch; ``None`` if the outputs are not understood.

    Outputs are taken as ONNX classifiers give them: an integer or a text per row is the class,
    floats that add up to 1 in each row are its probabilities, and a single float per row without
    either is a number. Options come first.

    Args:
        sample: The batch.
        options: The feedback options.
    """
    found = {
        name: array
        for name, array in zip(sample.output_names, sample.outputs, strict=True)
        if array is not None and array.ndim and len(array) == sample.rows
    }
    prediction = _column(found.get(options.prediction) if options.prediction else _class(found))
    scores = _matrix(found.get(options.score) if options.score else _probabilities(found))
    kind = options.kind
    if not kind and prediction is not None and prediction.dtype.kind == "f":
        kind = REGRESSION
    if kind == REGRESSION or (not kind and prediction is None and scores is None):
        number = prediction if prediction is not None else _column(_number(found))
        return None if number is None or number.dtype.hasobject else _numbers(number)
    if prediction is None and scores is None and kind and not options.score:
        scores = _matrix(_number(found))
    return _classes(prediction, scores, options)


def _numbers(column: Array) -> Predictions:
    values = column.astype(np.float64).tolist()
    return Predictions(REGRESSION, values, np.empty((len(values), 0), np.float32))


def _classes(
    prediction: Array | None, scores: Array | None, options: FeedbackOptions
) -> Predictions | None:
    if scores is not None and scores.shape[1] > MAX_CLASSES and prediction is not None:
        scores = None
    if prediction is not None:
        kept = np.empty((len(prediction), 0), np.float32) if scores is None else scores
        known = (False, True) if prediction.dtype.kind == "b" else ()
        return Predictions(CLASSIFICATION, prediction.tolist(), kept.astype(np.float32), known)
    if scores is None:
        return None
    if scores.shape[1] == 1:
        chosen = (scores[:, 0] > _HALF).astype(np.int64)
        names: Sequence[Any] = options.classes or (
            0,
            1 if options.positive is None else options.positive,
        )
    else:
        chosen = scores.argmax(axis=1)
        names = options.classes or range(scores.shape[1])
    if len(names) < max(2, scores.shape[1]):
        return None
    kept = scores if scores.shape[1] <= MAX_CLASSES else scores[:, :0]
    values = [names[column] for column in chosen.tolist()]
    return Predictions(CLASSIFICATION, values, kept.astype(np.float32), tuple(names))


def _class(found: dict[str, Array]) -> Array | None:
    """The first output with one integer or text per row."""
    for array in found.values():
        if array.size == len(array) and array.dtype.kind in "iubO":
            return array
    return None


def _number(found: dict[str, Array]) -> Array | None:
    for array in found.values():
        if array.size == len(array) and array.dtype.kind in "fiu":
            return array
    return None


def _probabilities(found: dict[str, Array]) -> Array | None:
    """The first output whose rows are distributions."""
    for array in found.values():
        if array.dtype.kind == "f" and array.ndim == 2 and array.shape[1] > 1:  # noqa: PLR2004  rows x classes
            sums = array.sum(axis=1, dtype=np.float64)
            if np.all(np.abs(sums - 1) < _SUM_TOLERANCE) and np.all(array >= 0):
                return array
    return None


def _column(array: Array | None) -> Array | None:
    return None if array is None or array.size != len(array) else array.reshape(len(array))


def _matrix(array: Array | None) -> Array | None:
    if array is None or array.dtype.kind != "f":
        return None
    return array.reshape(len(array), -1)
