"""Figures of one row: of a tensor too large to watch each scalar, and of the scores of classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable

Rows = NDArray[Any]
Figure = NDArray[np.float64]


def _norm(rows: Rows) -> Figure:
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", rows, rows)), np.float64)


def _length(rows: Rows) -> Figure:
    return np.full(rows.shape[0], float(rows.shape[1]))


#: How each is made of rows of at least one scalar, float64.
_OF_TENSOR: Final[dict[str, Callable[[Rows], Figure]]] = {
    "norm": _norm,
    "mean": lambda rows: rows.mean(axis=1),
    "min": lambda rows: rows.min(axis=1),
    "max": lambda rows: rows.max(axis=1),
    "zeros": lambda rows: (rows == 0).mean(axis=1),
    "length": _length,
}
FIGURES: Final = tuple(_OF_TENSOR)


def tensor_figure(name: str, rows: Rows) -> Figure:
    """A figure of each row; NaN where a row has no scalars.

    Args:
        name: One of `FIGURES`.
        rows: Two axes.
    """
    if name != "length" and not rows.shape[1]:
        return np.full(rows.shape[0], np.nan)
    if rows.dtype.hasobject:
        rows = np.vectorize(len, otypes=[np.float64])(rows)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(_OF_TENSOR[name](rows.astype(np.float64, copy=False)), np.float64)


def score_figure(name: str, rows: Rows) -> Rows:
    """A figure of the scores of each row.

    Args:
        name: ``top``, ``margin``, ``entropy`` (in nats) or ``class``.
        rows: Two axes; the second is the classes, at least two.
    """
    if name == "class":
        return np.asarray(rows.argmax(axis=1))
    rows = rows.astype(np.float64, copy=False)
    if name == "entropy":
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(-np.where(rows > 0, rows * np.log(rows), 0.0).sum(axis=1))
    highest = np.partition(rows, -2, axis=1)[:, -2:]
    return np.asarray(highest[:, 1] if name == "top" else highest[:, 1] - highest[:, 0])
