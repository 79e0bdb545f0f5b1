"""The watched features of a model: inputs and outputs as named columns of numbers or categories.

A tensor of at most 200 scalars a row is one column for each, ``name[i]``; a larger one is
described by a few figures of each row: ``name.norm``, ``.mean``, ``.min``, ``.max``, ``.zeros``
(their share), ``.length``. Texts are categories. Whole numbers that a model puts out are classes;
scores that add up to 1 are described by the largest, the margin to the second and the entropy, too,
and by the class they choose where no output names it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from .figures import FIGURES, score_figure, tensor_figure

if TYPE_CHECKING:
    from collections.abc import Sequence

Column = NDArray[Any]

#: Scalars a row up to which each is a column.
MOST_SCALARS: Final = 200
#: Score columns up to which each is watched by itself.
MOST_SCORES: Final = 10
#: Columns of a version that are watched; the others are not.
MOST_FEATURES: Final = 256

_SCORE_FIGURES: Final = ("top", "margin", "entropy")


@dataclass(frozen=True, slots=True)
class Feature:
    """One column.

    Attributes:
        name: Unique among those of the model.
        tensor: The input or output it is made of.
        output: Whether that is an output.
        categorical: Whether its values are categories.
        index: Place in a row of the tensor; -1 for a figure of the row.
        figure: Which figure; empty for a scalar.
    """

    name: str
    tensor: str
    output: bool
    categorical: bool
    index: int = -1
    figure: str = ""


def input_features(name: str, array: Column) -> list[Feature]:
    """The columns of an input.

    Args:
        name: As the model calls it.
        array: Rows of it, axis 0 rows.
    """
    width = _width(array)
    if array.dtype.hasobject:
        return _scalars(name, width, output=False, categorical=True) if width else []
    if 0 < width <= MOST_SCALARS:
        return _scalars(name, width, output=False, categorical=False)
    return [
        Feature(f"{name}.{one}", name, output=False, categorical=False, figure=one)
        for one in FIGURES
    ]


def output_features(name: str, array: Column, *, classes: bool) -> list[Feature]:
    """The columns of an output.

    Args:
        name: As the model calls it.
        array: Rows of it, axis 0 rows.
        classes: Whether another output names the class already.
    """
    width = _width(array)
    if array.dtype.hasobject or (array.dtype.kind in "iub" and width == 1):
        return _scalars(name, width, output=True, categorical=True)
    scores = 1 < width <= MOST_SCALARS and array.ndim == 2 and _sums_to_one(array)  # noqa: PLR2004
    found: list[Feature] = []
    if scores:
        if not classes:
            found.append(
                Feature(f"{name}.class", name, output=True, categorical=True, figure="class")
            )
        found += [
            Feature(f"{name}.{one}", name, output=True, categorical=False, figure=one)
            for one in _SCORE_FIGURES
        ]
    if 0 < width <= (MOST_SCORES if scores else MOST_SCALARS):
        return [*found, *_scalars(name, width, output=True, categorical=False)]
    return found or [
        Feature(f"{name}.{one}", name, output=True, categorical=False, figure=one)
        for one in FIGURES
    ]


def scalar_features(name: str, array: Column) -> list[Feature]:
    """The columns that an output may have for each scalar of a row, if it has them.

    Args:
        name: As the model calls it.
        array: Rows of it, axis 0 rows.
    """
    return _scalars(name, _width(array), output=True, categorical=False)


def tables(arrays: Sequence[Column]) -> list[Column]:
    """Batches of a tensor with two axes each, and as few as their shapes allow.

    Args:
        arrays: One for each batch, axis 0 rows.
    """
    if len(arrays) > 1 and len({array.shape[1:] for array in arrays}) == 1:
        arrays = [np.concatenate(arrays)]
    return [array.reshape(array.shape[0], -1) for array in arrays if array.shape[0]]


def column(feature: Feature, batches: Sequence[Column]) -> Column:
    """The values of a feature.

    Args:
        feature: The feature.
        batches: Batches of its tensor, as `tables` makes them.

    Returns:
        float64 of one axis; for categories an array of objects or whole numbers.
    """
    parts = [_values(feature, rows) for rows in batches]
    values = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return values if feature.categorical else np.ascontiguousarray(values, dtype=np.float64)


def has_classes(arrays: Sequence[Column]) -> bool:
    """True if one of the outputs is a class."""
    return any(
        array.dtype.hasobject or (array.dtype.kind in "iub" and _width(array) == 1)
        for array in arrays
    )


def _values(feature: Feature, rows: Column) -> Column:
    figure = feature.figure
    if figure:
        scores = figure == "class" or figure in _SCORE_FIGURES
        return score_figure(figure, rows) if scores else tensor_figure(figure, rows)
    if feature.index < rows.shape[1]:
        return rows[:, feature.index]
    return np.full(rows.shape[0], None if feature.categorical else np.nan)  # shorter than it was


def _width(array: Column) -> int:
    width = 1
    for length in array.shape[1:]:
        width *= length
    return width


def _scalars(name: str, width: int, *, output: bool, categorical: bool) -> list[Feature]:
    if width == 1:
        return [Feature(name, name, output, categorical, 0)]
    return [
        Feature(f"{name}[{index}]", name, output, categorical, index)
        for index in range(min(width, MOST_SCALARS))
    ]


def _sums_to_one(array: Column) -> bool:
    with np.errstate(invalid="ignore"):
        sums = array.sum(axis=1)
        return bool(array.min(initial=0) >= 0 and np.abs(sums - 1).max(initial=0) < 1e-3)  # noqa: PLR2004
