"""Answered rows as text: CSV and JSON lines, with the numbers and names of ``:predict``."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Final

import orjson

from penstock.server.codecs import predictions
from penstock.server.codecs.messages import InferRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from penstock.server.codecs.signature import WireSignature

    from .chunk import Answered
    from .output_columns import OutputColumns

_NULL: Final = b"null"
#: Types of values that `csv.writer` writes as they are.
_PLAIN: Final = frozenset((str, int, float, bool, type(None)))


class CsvOutput:
    """Writes parts as CSV; an `penstock.server.batch_job.outputs.Output`.

    Args:
        wire: The model's signature.
        columns: The columns of the output.
    """

    def __init__(self, wire: WireSignature, columns: OutputColumns) -> None:
        self._wire = wire
        self._columns = columns

    def write_part(self, path: Path, answered: Sequence[Answered]) -> None:
        """See `Output.write_part`."""
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            for one in answered:
                writer.writerows(self._rows(one))

    def head(self) -> bytes:
        """The line with the names."""
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(self._columns.names)
        return line.getvalue().encode()

    def _rows(self, answered: Answered) -> Any:
        """The cells of each row."""
        texts: list[list[bytes]] = []
        if answered.good:
            pairs = zip(self._wire.all_wire_outputs, answered.outputs, strict=True)
            texts = [predictions.elements(output, array, named=True) for output, array in pairs]
        carried = [_values(answered.chunk.carried[name]) for name in self._columns.carried]
        if answered.good and not answered.errors:
            mine = [_plain_column(values) for values in carried]
            errors = [""] * answered.chunk.count
            return zip(*mine, *map(_cells, texts), errors, strict=True)
        return self._mixed(answered, texts, carried)

    def _mixed(
        self, answered: Answered, texts: list[list[bytes]], carried: list[list[Any]]
    ) -> Iterator[list[Any]]:
        """The cells of rows of which some were not answered."""
        empty = [""] * len(self._wire.all_wire_outputs)
        rows = [list(map(_cell, row)) for row in zip(*texts, strict=True)]
        found = dict(zip(answered.good, rows, strict=True))
        for at in range(answered.chunk.count):
            mine = [_plain(values[at]) for values in carried]
            yield [*mine, *found.get(at, empty), answered.errors.get(at, "")]


class JsonlOutput:
    """Writes parts as JSON lines; an `penstock.server.batch_job.outputs.Output`.

    Args:
        wire: The model's signature.
        columns: The columns of the output.
    """

    def __init__(self, wire: WireSignature, columns: OutputColumns) -> None:
        self._wire = wire
        self._columns = columns

    def write_part(self, path: Path, answered: Sequence[Answered]) -> None:
        """See `Output.write_part`."""
        with path.open("wb") as file:
            for one in answered:
                file.writelines(self._lines(one))

    def _lines(self, answered: Answered) -> Any:
        request = InferRequest([], len(answered.good), self._wire.all_outputs)
        texts = (
            predictions.row_texts(self._wire, request, answered.outputs, named=True)
            if answered.good
            else []
        )
        found = dict(zip(answered.good, texts, strict=True))
        names = [orjson.dumps(name) for name in self._columns.carried_as]
        values = [_values(answered.chunk.carried[name]) for name in self._columns.carried]
        for at in range(answered.chunk.count):
            pairs = zip(names, values, strict=True)
            mine = b"".join(b"%b:%b," % (name, _json(column[at])) for name, column in pairs)
            error = answered.errors.get(at)
            text = found[at] if error is None else b'{"error":%b}' % orjson.dumps(error)
            yield b"{%b%b\n" % (mine, text[1:])


def _values(column: Any) -> Any:
    """A carried column as a list."""
    return column if isinstance(column, list) else column.to_pylist()


def _plain(value: Any) -> Any:
    """A carried value as a cell of CSV."""
    if value is None or isinstance(value, str | int | float):
        return value
    return _json(value).decode() if isinstance(value, list | dict) else str(value)


def _plain_column(values: list[Any]) -> list[Any]:
    """As `_plain` of each value."""
    if set(map(type, values)) <= _PLAIN:
        return values
    return list(map(_plain, values))


def _json(value: Any) -> bytes:
    return orjson.dumps(value, default=str)


def _cells(texts: list[bytes]) -> list[str]:
    """As `_cell` of each text: at once where no text has a quotation mark or is missing."""
    joined = b"\n".join(texts)
    if b'"' in joined or _NULL in joined or joined.count(b"\n") != len(texts) - 1:
        return list(map(_cell, texts))
    return joined.decode().split("\n")


def _cell(text: bytes) -> str:
    """An element of the answer as a cell: text without quotes, nothing for a missing number."""
    if text == _NULL:
        return ""
    if text.startswith(b'"'):
        value: str = orjson.loads(text)
        return value
    return text.decode()
