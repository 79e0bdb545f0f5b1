"""Scalars that stand for rows too large to travel: pictures, sounds, texts, embeddings.

An input ``x`` of such rows becomes ``x.norm``, ``x.mean``, ``x.min``, ``x.max``, ``x.zeros`` (share
of zeros) and ``x.length`` (elements; bytes of text), one float32 each. They are worked out for few
rows a second; the others have NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SCALARS: Final = ("norm", "mean", "min", "max", "zeros", "length")
#: Of a row with more elements, every so-manieth is looked at, about this many.
MAX_ELEMENTS: Final = 1 << 15
#: A scalar of rows that are not looked at.
_UNKNOWN: Final = np.full(256, np.nan, np.float32)
_UNKNOWN.setflags(write=False)


def names_of(name: str) -> tuple[str, ...]:
    """The names of the scalars of an input."""
    return tuple(f"{name}.{scalar}" for scalar in SCALARS)


def scalars(rows: NDArray[Any], count: int) -> list[NDArray[np.float32]]:
    """The scalars of the first `count` rows, NaN for the others; one array per scalar.

    Args:
        rows: Axis 0 is rows.
        count: Number of rows that are looked at.
    """
    if not count and len(rows) <= len(_UNKNOWN):
        return [_UNKNOWN[: len(rows)]] * len(SCALARS)
    found = np.full((len(SCALARS), len(rows)), np.nan, np.float32)
    for index in range(min(count, len(rows))):
        found[:, index] = _row(rows[index])
    return list(found)


def _row(row: Any) -> Sequence[float]:
    if isinstance(row, bytes):
        return (np.nan,) * 5 + (len(row),)
    flat = np.asarray(row).ravel()
    if flat.dtype.hasobject:
        return (np.nan,) * 5 + (sum(map(len, flat.tolist())),)
    if not flat.size:
        return (0.0, np.nan, np.nan, np.nan, np.nan, 0.0)
    seen = flat[:: -(-flat.size // MAX_ELEMENTS)].astype(np.float64)
    norm = np.sqrt(seen @ seen * (flat.size / seen.size))
    zeros = 1 - np.count_nonzero(seen) / seen.size
    figures = (norm, seen.mean(), seen.min(), seen.max(), zeros, flat.size)
    return tuple(map(float, figures))
