"""The values of a column to elements of a tensor: numbers, texts, categories and missing values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.server.errors import InvalidRequest

from .signature import STRUCT_CODE
from .tensors import UNPACKABLE, objects, packer, show

if TYPE_CHECKING:
    from penstock.runtimes.contract import Array

    from .row_columns import RowColumn, RowInput

#: Format characters of `struct` for floats.
_FLOATS: Final = "efd"


def cell_array(cells: list[Any], one: RowInput, rows: int) -> Array:
    """The part of rows that belongs to one input, as its tensor.

    Args:
        cells: One value for each column of the input and each row, row after row.
        one: The input.
        rows: Number of rows.

    Raises:
        InvalidRequest: A value is none of its column's; the message names row and column.
    """
    width = len(one.columns)
    shape = [rows, *one.tail]
    for place, column in enumerate(one.columns):
        if column.codes is not None:
            cells[place::width] = _coded(cells[place::width], column)
    code = STRUCT_CODE.get(one.spec.datatype, "")
    if code and one.numeric:
        try:
            return np.ndarray(shape, one.dtype, packer(code, len(cells))(*cells))
        except UNPACKABLE:
            pass
    for place, column in enumerate(one.columns):
        if column.codes is None:
            cells[place::width] = _checked(cells[place::width], column, code)
    if code:
        return np.ndarray(shape, one.dtype, packer(code, len(cells))(*cells))
    if one.dtype == np.object_:
        return objects(cells, shape)
    return np.array(cells, np.bool_).reshape(shape)


def _coded(values: list[Any], column: RowColumn) -> list[Any]:
    """What stands in the tensor for these categories."""
    codes = column.codes
    assert codes is not None
    try:
        return list(map(codes.__getitem__, values))
    except (KeyError, TypeError):
        for row, value in enumerate(values):
            if isinstance(value, list | dict) or value not in codes:
                raise _refused(row, value, column) from None
        raise


def _checked(values: list[Any], column: RowColumn, code: str) -> list[Any]:
    """The values of a column without listed categories, each checked."""
    made = []
    for row, value in enumerate(values):
        found = _element(value, column, code)
        if found is None:
            raise _refused(row, value, column)
        made.append(found)
    return made


def _element(value: Any, column: RowColumn, code: str) -> Any:
    """What stands in the tensor for a value; ``None`` if the column has no such value."""
    if value is None:
        return (b"" if column.is_text else math.nan) if column.missing else None
    if column.is_text:
        return _text(value, column)
    if not code:
        return value if type(value) is bool else None
    return _number(value, column, code) if isinstance(value, int | float) else None


def _number(value: float, column: RowColumn, code: str) -> float | None:
    category = column.categories is not None
    if category or code not in _FLOATS:
        whole = math.isfinite(value) and value == int(value)
        if not whole or (category and value < 0):
            return None
        value = int(value)
    try:
        packer(code, 1)(value)
    except UNPACKABLE:
        return None
    return value


def _text(value: Any, column: RowColumn) -> bytes | None:
    if type(value) is str:
        return value.encode()
    if type(value) is bytes and column.categories is None:
        return value
    if type(value) is int and column.categories is not None:
        return b"%d" % value
    return None


def _refused(row: int, value: Any, column: RowColumn) -> InvalidRequest:
    why = " (the model takes no missing values here)" if value is None else ""
    return InvalidRequest(
        f"row {row}, column '{column.name}' is {show(value)}, expected {column.expected}{why}"
    )
