"""Rows of a model as arrays, for `penstock.monitoring.drift.assess`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a model in the order in which they came.

    Attributes:
        columns: By name, one axis each and of one length. Numbers are float64 or anything that
            becomes it, NaN is missing; arrays of objects, texts or bytes are categories.
        start: Unix seconds of the first row; ``None`` if it is not known.
        end: Unix seconds of the last row.
        clients: Name of the client that sent each row, as text; ``None`` if it is not known.
    """

    columns: Mapping[str, NDArray[Any]]
    start: float | None = None
    end: float | None = None
    clients: Sequence[str] | None = None


def checked(given: Rows | Mapping[str, NDArray[Any]], what: str) -> Rows:
    """Rows as columns of one axis and one length: numbers as float64, all else as objects.

    Args:
        given: The rows.
        what: Names them in errors.

    Raises:
        ValueError: They are something else.
    """
    rows = given if isinstance(given, Rows) else Rows(given)
    columns = {name: _array(values) for name, values in rows.columns.items()}
    for name, values in columns.items():
        if values.ndim != 1:
            raise ValueError(f"{what}: {name!r} has {values.ndim} axes, expected 1")
    if len({len(one) for one in columns.values()}) > 1:
        lengths = {name: len(one) for name, one in columns.items()}
        raise ValueError(f"{what}: the columns have different lengths: {lengths}")
    if rows.clients is not None and len(rows.clients) != length(replace(rows, columns=columns)):
        raise ValueError(f"{what}: {len(rows.clients)} clients, expected one for each row")
    return replace(rows, columns=columns)


def _array(values: Any) -> NDArray[Any]:
    found = np.asarray(values)
    if found.dtype.kind in "OSU":
        return found.astype(object)
    return found.astype(np.float64)


def length(rows: Rows) -> int:
    """Number of the rows."""
    return max((len(one) for one in rows.columns.values()), default=0)
