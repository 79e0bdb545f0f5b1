"""What a model calls its columns and classes, by the names that the drift monitor gives them."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from penstock.monitoring.drift.features import input_features, scalar_features
from penstock.runtimes.datatypes import NUMPY_OF

if TYPE_CHECKING:
    from penstock.runtimes.contract import Array, Signature, TensorSpec


def column_names(signature: Signature | None) -> dict[str, str]:
    """Names of columns by names of features, such as ``features[3]``.

    The score of a class keeps the name of its output: ``probabilities[benign]``. A tensor whose
    columns are not all named, or whose size is open, is left out.

    Args:
        signature: Of the manifest of a version; ``None`` if it has none.
    """
    found: dict[str, str] = {}
    if signature is None:
        return found
    for spec in signature.inputs:
        row = _row(spec, rows_axis=signature.rows_axis)
        features = [] if row is None else input_features(spec.name, row)
        found |= {one.name: spec.columns[one.index].name for one in features if one.index >= 0}
    for spec in signature.outputs:
        row = _row(spec, rows_axis=signature.rows_axis)
        if row is not None and row.size > 1:
            for one in scalar_features(spec.name, row):
                found[one.name] = f"{spec.name}[{spec.columns[one.index].name}]"
    return found


def category_names(signature: Signature | None) -> dict[str, tuple[str, ...]]:
    """Names of the categories of outputs that are numbers, by names of features.

    A label has them if it is the position of its class. The class with the highest score has the
    names of the scores.

    Args:
        signature: Of the manifest of a version; ``None`` if it has none.
    """
    found: dict[str, tuple[str, ...]] = {}
    for spec in () if signature is None else signature.outputs:
        if len(spec.columns) > 1:
            found[f"{spec.name}.class"] = tuple(one.name for one in spec.columns)
        elif spec.columns and spec.columns[0].categories and spec.datatype != "BYTES":
            found[spec.name] = tuple(map(str, spec.columns[0].categories))
    return found


def _row(spec: TensorSpec, *, rows_axis: bool) -> Array | None:
    """One row of a tensor; ``None`` if its columns are not named."""
    sizes = spec.shape[1:] if rows_axis else spec.shape
    if min(sizes, default=0) < 0 or len(spec.columns) != prod(sizes):
        return None
    return np.broadcast_to(np.empty((), NUMPY_OF[spec.datatype]), (1, *sizes))
