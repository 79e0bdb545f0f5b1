"""Rows as CSV, as MLflow and SageMaker take them."""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.files.csv_records import CsvRecords
from penstock.server.errors import BodyTooLarge, InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from .row_columns import RowColumn, RowColumns

#: Commas and ends of lines in one body; each cell is an object.
MAX_CELLS: Final = 1 << 20
#: Python itself reads more: ``1_000``, digits of other scripts.
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
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
        # The value of an unknown column is never used: its name is told with the first row.
        readers = [cell_reader(by_name[name]) if name in by_name else str for name in header]
        return [dict(zip(header, _values(row, readers), strict=True)) for row in rows]
    if columns.names and len(lines[0]) == len(columns.listed):
        readers = [cell_reader(one) for one in columns.listed]
        return [_values(row, readers) for row in lines]
    if columns.names:
        return lines  # too few or too many cells: told with the first row
    if any(one.spec.datatype == "BYTES" for one in columns.inputs):
        return lines
    is_header = all(cell and not _is_number(cell) for cell in lines[0])
    return [list(map(cell_reader(None), row)) for row in lines[is_header:]]


def _lines(body: bytes) -> list[list[str]]:
    """The cells of each line that is not empty; their number is bounded before they are made."""
    if body.count(b",") + body.count(b"\n") > MAX_CELLS:
        raise BodyTooLarge(f"the CSV has more than {MAX_CELLS} cells; send fewer in one request")
    try:
        lines = [line for line in CsvRecords(io.StringIO(body.decode("utf-8-sig"))) if line]
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


def _values(row: list[str], readers: list[Callable[[str], Any]]) -> list[Any]:
    return [read(cell) for read, cell in zip(readers, row, strict=True)]


def cell_reader(column: RowColumn | None) -> Callable[[str], Any]:
    """What a cell says in a column; an empty cell is a missing value.

    ``None`` stands for a column of a model that does not name its columns and takes numbers.

    A text that two categories have, such as 1 and "1", is neither of them: it stays a text, and is
    refused with its row if the column has no such text.
    """
    read: Callable[[str], Any] = _plain
    if column is None:
        return lambda cell: _plain(cell) if cell else None
    if column.categories:
        texts = Counter(map(str, column.categories))
        named = {str(one): one for one in column.categories if texts[str(one)] == 1}
        read = lambda cell: named.get(cell, cell)  # noqa: E731
    elif column.is_text:
        read = str
    elif column.json_type == "boolean":
        read = lambda cell: _TRUTHS.get(cell.lower(), cell)  # noqa: E731
    empty = None if column.missing or not column.is_text else ""
    return lambda cell: read(cell) if cell else empty


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
    """The number that a cell holds, as JSON writes numbers; ``None`` for one that holds none."""
    if not _NUMBER.fullmatch(cell):
        return None
    try:
        return int(cell)
    except ValueError:  # no whole number, or one of more digits than Python reads
        number = float(cell)
    return number if math.isfinite(number) else None
