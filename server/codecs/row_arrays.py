"""Rows as people have them, to tensors.

A row is an object with one value for each column, a list of these values in the order of the
columns, or the value itself where there is one column. As in TensorFlow Serving and KServe v1, a
row of a model whose columns have no names is one element of its input, or an object with one such
element for each input.
"""

from __future__ import annotations

from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from penstock.monitoring.files.wording import did_you_mean
from penstock.server.errors import InvalidRequest

from .request import size_of
from .row_values import cell_array
from .tensors import check_texts, from_list, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.runtimes.contract import Array

    from .row_columns import RowColumns, RowInput
    from .signature import WireSignature

    #: One value for each column of a row.
    Cells = Sequence[Any]


def arrays_of(rows: list[Any], columns: RowColumns, wire: WireSignature) -> list[Array | None]:
    """One array for each input of the signature.

    Raises:
        InvalidRequest: As from `decode`.
    """
    arrays = wire.blank.copy()
    kinds = set(map(type, rows))
    if len(kinds) > 1 and (dict in kinds or list in kinds):
        at = next(i for i, row in enumerate(rows) if type(row) is not type(rows[0]))
        raise InvalidRequest(
            f"row {at} is {show(rows[at])} and row 0 is {show(rows[0])}; all rows must be alike"
        )
    if not rows:
        parts = [np.empty((0, *(max(n, 0) for n in one.tail)), one.dtype) for one in columns.inputs]
    elif dict not in kinds:
        parts = _of_lists(rows, columns, wire, listed=list in kinds)
    elif columns.names and not _is_by_input(rows[0], columns):
        parts = _of_cells(_cells_by_name(rows, columns), columns)
    else:
        parts = _of_objects_by_input(rows, columns, wire)
    for one, array in zip(columns.inputs, parts, strict=True):
        arrays[wire.inputs[one.spec.name].position] = array
    return arrays


def _is_by_input(row: dict[str, Any], columns: RowColumns) -> bool:
    """Whether a row has one value for each input, not one for each column."""
    inputs = {one.spec.name for one in columns.inputs}
    return row.keys() == inputs and not inputs <= set(columns.names)


def _cells_by_name(rows: list[dict[str, Any]], columns: RowColumns) -> list[Cells]:
    names = columns.names
    try:
        if len(names) == 1:
            cells: list[Cells] = [(row[names[0]],) for row in rows]
        else:
            cells = list(map(itemgetter(*names), rows))
    except KeyError:
        _refuse_names(rows, columns)
    if set(map(len, rows)) - {len(names)}:
        _refuse_names(rows, columns)
    return cells


def _refuse_names(rows: list[dict[str, Any]], columns: RowColumns) -> NoReturn:
    """Name the first row that lacks a column or has an unknown one."""
    known = set(columns.names)
    for number, row in enumerate(rows):
        missing = [repr(one.name) for one in columns.listed if one.name not in row]
        unknown = [name for name in row if name not in known]
        if missing and not unknown:
            what = f"lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing[:20])}"
        elif unknown:
            hint = did_you_mean(unknown[0], list(columns.names))
            what = f"has the unknown column {show(unknown[0])}{hint}"
        else:
            continue
        raise InvalidRequest(f"row {number} {what}; expected {columns.expected}")
    raise AssertionError(rows)


def _of_lists(
    rows: list[Any], columns: RowColumns, wire: WireSignature, *, listed: bool
) -> list[Array]:
    """The parts of rows that are lists, or values of a single column."""
    width = len(columns.names)
    if not listed:
        if width != 1:
            raise InvalidRequest(f"row 0 is {show(rows[0])}; expected {_shape_of_row(columns)}")
        return _of_cells([(row,) for row in rows], columns)
    if not width:
        if len(columns.inputs) != 1:
            raise InvalidRequest(f"row 0 is a list; expected {_shape_of_row(columns)}")
        return [_nested(rows, columns.inputs[0], wire)]
    if set(map(len, rows)) - {width}:
        at = next(i for i, row in enumerate(rows) if len(row) != width)
        raise InvalidRequest(
            f"row {at} has {len(rows[at])} values; expected {width}, for {columns.expected}"
        )
    if columns.order is not None:
        back = sorted(range(width), key=columns.order.__getitem__)
        rows = list(map(itemgetter(*back), rows))
    return _of_cells(rows, columns)


def _of_objects_by_input(
    rows: list[dict[str, Any]], columns: RowColumns, wire: WireSignature
) -> list[Array]:
    names = {one.spec.name for one in columns.inputs}
    for number, row in enumerate(rows):
        if row.keys() != names:
            hint = "" if columns.names else " (the model does not name its columns; publish names "
            hint = hint and hint + "with penstock push --columns, or send each row as a list)"
            raise InvalidRequest(
                f"row {number} has the keys {', '.join(map(show, row))[:200]}; expected one value "
                f"for each input, {', '.join(map(repr, names))}{hint}"
            )
    return [_nested([row[one.spec.name] for row in rows], one, wire) for one in columns.inputs]


def _shape_of_row(columns: RowColumns) -> str:
    if columns.names:
        return f"an object or a list with {columns.expected}"
    (first, *others) = columns.inputs
    if others:
        names = ", ".join(repr(one.spec.name) for one in columns.inputs)
        return f"an object with one value for each input, {names}"
    return f"a list of the shape {list(first.tail)}"


def _nested(rows: list[Any], one: RowInput, wire: WireSignature) -> Array:
    """Elements of one input, each a list nested as its shape says."""
    tail = list(one.tail)
    if one.size < 0:  # open dimensions have the size of the first row
        tail, level = [], rows[0]
        while type(level) is list and len(tail) < len(one.tail):
            tail.append(len(level))
            level = level[0] if level else None
    spec = wire.inputs[one.spec.name]
    shape = [len(rows), *(max(size, 0) for size in tail)]
    size = size_of(shape, spec)
    check_texts(spec, size)
    return from_list(rows, spec, shape, size)


def _of_cells(rows: Sequence[Cells], columns: RowColumns) -> list[Array]:
    """The parts of rows whose cells are in the order of the inputs."""
    if len(columns.inputs) == 1:
        return [cell_array(list(chain.from_iterable(rows)), columns.inputs[0], len(rows))]
    parts, first = [], 0
    for one in columns.inputs:
        last = first + len(one.columns)
        cells = list(chain.from_iterable([row[first:last] for row in rows]))
        parts.append(cell_array(cells, one, len(rows)))
        first = last
    return parts
