"""Rows as CSV, as MLflow and SageMaker take them."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING, Any, Final

from penstock.server.errors import BodyTooLarge, InvalidRequest

if TYPE_CHECKING:
    from .row_columns import RowColumn, RowColumns

#: Commas and ends of lines in one body; each cell is an object.
MAX_CELLS: Final = 1 << 20
_TRUTHS: Final = {"true": True, "false": False}


def read_rows(body: bytes, columns: RowColumns) -> list[Any]:
    """The rows of a CSV text, each an object by the names of its header, or a list.

    The first line is a header if it names a column of the model. MLflow sends one, SageMaker does
    not. Where the model does not name its columns and takes numbers, a first line without any
    number is a header, whose names are passed over: the order counts. Where it takes texts, every
    line is a row.

    Args:
        body: The text, in UTF-8.
        columns: The columns of the model.

    Raises:
        InvalidRequest: It is no CSV in UTF-8, or its lines differ in their number of cells.
        BodyTooLarge: It has too many cells.
    """
    lines = _lines(body)
    by_name = {one.name: one for one in columns.columns}
    if columns.names and not by_name.keys().isdisjoint(lines[0]):
        header, *rows = lines
        if len(set(header)) < len(header):
            raise InvalidRequest("the header of the CSV names a column twice")
        known = [by_name.get(name) for name in header]  # an unknown name is told with the row
        return [
            {
                name: cell if column is None else _value(cell, column)
                for name, cell, column in zip(header, row, known, strict=True)
            }
            for row in rows
        ]
    if columns.names and len(lines[0]) == len(columns.listed):
        return [[_value(*pair) for pair in zip(row, columns.listed, strict=True)] for row in lines]
    if columns.names:
        return lines  # too few or too many cells: told with the first row
    if any(one.spec.datatype == "BYTES" for one in columns.inputs):
        return lines
    is_header = all(cell and not _is_number(cell) for cell in lines[0])
    return [[_plain(cell) if cell else None for cell in row] for row in lines[is_header:]]


def _lines(body: bytes) -> list[list[str]]:
    """The cells of each line that is not empty; their number is bounded before they are made."""
    if body.count(b",") + body.count(b"\n") > MAX_CELLS:
        raise BodyTooLarge(f"the CSV has more than {MAX_CELLS} cells; send fewer in one request")
    try:
        lines = [line for line in csv.reader(io.StringIO(body.decode("utf-8-sig"))) if line]
    except UnicodeDecodeError:
        raise InvalidRequest("the CSV is not UTF-8") from None
    except csv.Error as error:
        raise InvalidRequest(f"the body is not valid CSV: {error}") from None
    if not lines:
        raise InvalidRequest("the CSV is empty; expected one line for each row")
    width = len(lines[0])
    for number, line in enumerate(lines, 1):
        if len(line) != width:
            raise InvalidRequest(f"line {number} of the CSV has {len(line)} cells, line 1 {width}")
    return lines


def _value(cell: str, column: RowColumn) -> Any:
    """What a cell says in a column; an empty cell is a missing value."""
    if cell == "" and (column.missing or not column.is_text):
        return None
    if column.categories:
        named = {str(one): one for one in column.categories}
        return named.get(cell, cell)
    if column.is_text:
        return cell
    if column.json_type == "boolean":
        return _TRUTHS.get(cell.lower(), cell)
    return _plain(cell)


def _plain(cell: str) -> Any:
    number = _number(cell)
    return cell if number is None else number


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _number(cell: str) -> float | int | None:
    """The number that a cell holds; ``None`` for one that holds none."""
    try:
        return int(cell)
    except ValueError:
        pass
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
