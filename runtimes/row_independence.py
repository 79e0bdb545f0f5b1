"""How far answers to rows together are from answers to the same rows alone.

For the conformance kit, whose author knows what the model should do. Whether rows of several
callers may share a run of a model that nobody knows is the business of `row_probe`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .contract import Array, Model


def row_deviation(model: Model, inputs: Sequence[Array | None]) -> float:
    """How far answers to rows together are from answers to the same rows singly.

    Args:
        model: Its signature has a batch axis.
        inputs: In signature order, each with the same number of rows (at least 2) on axis 0.

    Returns:
        The largest difference of any output, relative to the largest magnitude in that output.
        Infinite if shapes, dtypes, or values of a type other than float differ at all.

    Raises:
        ModelExecutionError: The model failed on these inputs.
    """
    names = [spec.name for spec in model.signature.outputs]
    rows = next(len(array) for array in inputs if array is not None)
    together = model.execute(inputs, names)
    singly = [model.execute([_row(array, i) for array in inputs], names) for i in range(rows)]
    return max(
        _output_deviation(array, [answers[i] for answers in singly])
        for i, array in enumerate(together)
    )


def _row(array: Array | None, i: int) -> Array | None:
    return None if array is None else array[i : i + 1]


def _output_deviation(together: Array, singly: Sequence[Array]) -> float:
    if any(array.ndim == 0 or len(array) != 1 for array in singly):
        return math.inf
    if len({array.shape for array in singly}) > 1:
        return math.inf
    return deviation(together, np.concatenate(singly))


def deviation(actual: Array, expected: Array) -> float:
    """Largest difference relative to the largest finite magnitude expected; NaN equals NaN.

    Infinite if shapes, dtypes, or values of a type other than float differ at all.
    """
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        return math.inf
    if expected.dtype.kind != "f":
        return 0.0 if np.array_equal(actual, expected) else math.inf
    differs = (actual != expected) & ~(np.isnan(actual) & np.isnan(expected))
    if not differs.any():
        return 0.0
    wide = expected.astype(np.float64)
    difference = np.abs(actual[differs].astype(np.float64) - wide[differs]).max()
    scale = np.abs(wide[np.isfinite(wide)]).max(initial=0.0)
    if not np.isfinite(difference) or scale == 0.0:
        return math.inf
    return float(difference / scale)
