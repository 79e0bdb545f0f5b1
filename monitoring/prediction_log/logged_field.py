"""One input or output of logged rows as the array that it was, or why it cannot be rebuilt. Pure.

The log has one column for each scalar of a row, or a blob and its shape
(`penstock.monitoring.prediction_log.columns`); this is the reverse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.monitoring.metrics.derived import names_of

from .columns import FIXED, MAX_SCALARS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from penstock.monitoring.samples.samples import Array

#: Beyond it a double does not hold each whole number.
_WHOLE: Final = 2**53
_NAMES: Final = frozenset(name for name, _ in FIXED)


class NotKept(Exception):
    """The log does not hold what is needed to rebuild an input; the message says why."""


@dataclass(frozen=True, slots=True)
class Field:
    """One input or output.

    Attributes:
        name: As the model calls it.
        dtype: Type of its elements; objects are texts.
        shape: Of one row; -1 where open.
        optional: Whether a request may leave it out.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    optional: bool = False


def check_names(fields: Sequence[Field]) -> None:
    """The log calls what would have a name that is taken otherwise."""
    names = [one.name.lower() for one in fields]
    several = [one for one in fields if -1 in one.shape or math.prod(one.shape) != 1]
    taken = {name for one in several for name in _columns_of(one)}
    for name in names:
        if name in _NAMES or name in taken or names.count(name) > 1:
            raise NotKept(f"the log has another name for {name!r}, which several things are called")


def _columns_of(field: Field) -> list[str]:
    """Columns that a field of several elements may have, beside the one of its name."""
    name = field.name.lower()
    return [f"{name}_shape", *(f"{name}_{place}" for place in range(MAX_SCALARS))]


def array_of(field: Field, rows: list[dict[str, Any]]) -> Array | None:
    """The field of a request; ``None`` if it was left out."""
    cells = [_elements(field, row) for row in rows]
    left_out = [one is None for one in cells]
    if all(left_out):
        if field.optional:
            return None
        raise NotKept(f"the log does not hold {field.name!r} of some requests")
    shape = _shape(field, len(cells[0] or ()))
    if any(left_out) or any(len(one or ()) != math.prod(shape) for one in cells):
        raise NotKept(f"the log does not hold all rows of {field.name!r}")
    array = np.empty((len(rows), math.prod(shape)), field.dtype)
    for place, one in enumerate(cells):
        array[place] = one
    return array.reshape(len(rows), *shape)


def _elements(field: Field, row: Mapping[str, Any]) -> Sequence[Any] | None:
    """The elements of one row; ``None`` if there are none."""
    name = field.name.lower()
    if names_of(name)[0] in row and row.get(name) is None and f"{name}_0" not in row:
        raise NotKept(
            f"rows of {field.name!r} are too large for the log, which holds figures of it"
        )
    if row.get(f"{name}_shape") is not None and isinstance(row.get(name), bytes):
        return _of_blob(field, row[name], row[f"{name}_shape"])
    size = math.prod(field.shape) if -1 not in field.shape else None
    if size == 1 or (size is None and row.get(name) is not None):
        value = row.get(name)
        missing = value is None and (field.optional or field.dtype.kind != "f" or name not in row)
        return None if missing else [_element(field, value)]
    values: list[Any] = []
    while f"{name}_{len(values)}" in row and (size is None or len(values) < size):
        values.append(row[f"{name}_{len(values)}"])
    if size is None:  # the columns of longer rows are empty
        while values and values[-1] is None:
            values.pop()
    whole = values and len(values) == size and field.dtype.kind == "f" and not field.optional
    if not whole and all(value is None for value in values):
        return None
    return [_element(field, value) for value in values]


def _element(field: Field, value: Any) -> Any:
    """A value as the model had it. SQLite has no NaN: it keeps nothing in its place."""
    if field.dtype.hasobject:
        if isinstance(value, int | float):
            raise NotKept(f"the log holds {field.name!r} as another type")
        return value.encode() if isinstance(value, str) else value or b""
    if value is None:
        if field.dtype.kind == "f":
            return math.nan
        raise NotKept(f"the log does not hold all elements of {field.name!r}")
    if isinstance(value, str | bytes):
        raise NotKept(f"the log holds hashes of {field.name!r}, and no values")
    if field.dtype.kind != "f" and not _fits(value, field.dtype):
        raise NotKept(f"the log holds {field.name!r} as another type")
    return value


def _fits(value: float, dtype: np.dtype[Any]) -> bool:
    """Whether a type of whole numbers or truth values has this one exactly."""
    if isinstance(value, float) and (not value.is_integer() or abs(value) > _WHOLE):
        return False
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return low <= value <= high


def _of_blob(field: Field, blob: bytes, shape: str) -> Sequence[Any]:
    size = math.prod(map(int, filter(None, shape.split("x"))))
    if field.dtype.hasobject:
        texts = blob.split(b"\0") if size else []
        if len(texts) != size:
            raise NotKept(f"the log does not tell the texts of {field.name!r} apart")
        return texts
    if len(blob) != size * field.dtype.itemsize:
        raise NotKept(f"the log holds {field.name!r} as another type")
    elements: Sequence[Any] = np.frombuffer(blob, field.dtype).tolist()
    return elements


def _shape(field: Field, size: int) -> tuple[int, ...]:
    """The shape of a row of so many elements."""
    if field.shape.count(-1) > 1:
        raise NotKept(f"{field.name!r} has several open dimensions, which the log does not tell")
    known = math.prod(one for one in field.shape if one != -1)
    if -1 not in field.shape:
        return field.shape
    if not known or size % known:
        raise NotKept(f"the log does not hold all elements of {field.name!r}")
    return tuple(size // known if one == -1 else one for one in field.shape)
