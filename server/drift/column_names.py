"""What a model calls the columns of its inputs, by the names that the drift monitor gives them."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from penstock.monitoring.drift.features import input_features
from penstock.runtimes.datatypes import NUMPY_OF

if TYPE_CHECKING:
    from penstock.runtimes.contract import Signature


def column_names(signature: Signature | None) -> dict[str, str]:
    """Names of columns by names of features, such as ``features[3]``.

    An input whose columns are not all named, or whose size is open, is left out.

    Args:
        signature: Of the manifest of a version; ``None`` if it has none.
    """
    found: dict[str, str] = {}
    for spec in () if signature is None else signature.inputs:
        sizes = spec.shape[1:] if signature is not None and signature.rows_axis else spec.shape
        if min(sizes, default=0) < 0 or len(spec.columns) != prod(sizes):
            continue
        row = np.broadcast_to(np.empty((), NUMPY_OF[spec.datatype]), (1, *sizes))
        features = [one for one in input_features(spec.name, row) if one.index >= 0]
        found |= {one.name: spec.columns[one.index].name for one in features}
    return found
