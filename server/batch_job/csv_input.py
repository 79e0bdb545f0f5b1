"""CSV with a header as the input of a batch job."""

from __future__ import annotations

import csv
import sys
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.monitoring.files.csv_records import CsvRecords, RowEndUnknown
from penstock.server.codecs.csv_rows import cell_reader

from .chunk import Chunk, Position
from .job_failed import JobFailed
from .number_blocks import NumberBlocks
from .text_lines import TextLines, is_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from penstock.runtimes.contract import Array
    from penstock.server.codecs.signature import WireSignature

    from .input_columns import InputColumns

#: Chunks that are read row by row after a block that was not plain; others may follow.
_SLOW_CHUNKS: Final = 16
_ALL: Final = sys.maxsize
#: All characters of the numbers that `cell_reader` reads. A text of these characters is a number
#: for `float` exactly if it is one there: what Python reads besides has other characters (``_``,
#: letters of ``nan`` and ``infinity``, spaces, digits of other scripts).
_OF_NUMBERS: Final = str.maketrans("", "", "0123456789+-.eE")


class CsvInput:
    """A CSV file; an `penstock.server.batch_job.inputs.Input`.

    Args:
        path: Path of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with TextLines(path) as lines:
            try:
                self.names = next(CsvRecords(lines), [])
            except csv.Error as error:
                raise JobFailed(f"{path}: the header is no CSV: {error}") from None
            self._first = lines.offset
        if not self.names or not all(map(is_text, self.names)):
            raise JobFailed(f"{path}: expected a header in UTF-8 that names the columns")
        self.total: int | None = None

    def chunks(
        self, start: Position, size: int, columns: InputColumns, wire: WireSignature
    ) -> Iterator[Chunk]:
        """See `Input.chunks`."""
        floats = _floats(columns, wire)
        start = Position(start.row, max(start.offset, self._first))
        if not all(floats) or not floats:
            yield from self._rows(start, size, columns, wire, _ALL)
            return
        with NumberBlocks(self._path, self.names, columns.taken, columns.carried) as blocks:
            while True:
                block = blocks.read(start.offset, size)
                if block is not None:
                    end = Position(start.row + block.rows, block.offset)
                    yield Chunk(start, end, list(block.cells), dict(block.carried))
                    start = end
                    continue
                before = start
                for chunk in self._rows(start, size, columns, wire, _SLOW_CHUNKS):
                    yield chunk
                    start = chunk.end
                if start == before:
                    return

    def _rows(
        self,
        start: Position,
        size: int,
        columns: InputColumns,
        wire: WireSignature,
        most: int,
    ) -> Iterator[Chunk]:
        """So many chunks, of rows that are read one by one."""
        taken = [self.names.index(one) for one in columns.taken]
        carried = [self.names.index(one) for one in columns.carried]
        readers = _readers(columns, wire)
        floats = _floats(columns, wire)
        with TextLines(self._path, start.offset) as lines:
            for rows, problems, offset in islice(self._groups(lines, size), most):
                end = Position(start.row + len(rows), offset)
                texts = list(zip(*rows, strict=True))
                yield Chunk(
                    start,
                    end,
                    [
                        _cells(texts[at], reader, plain=plain)
                        for at, reader, plain in zip(taken, readers, floats, strict=True)
                    ],
                    {
                        name: list(texts[at])
                        for name, at in zip(columns.carried, carried, strict=True)
                    },
                    problems,
                )
                start = end

    def _groups(
        self, lines: TextLines, size: int
    ) -> Iterator[tuple[list[Sequence[str]], dict[int, str], int]]:
        """Up to `size` rows at a time, why some are none, and the offset behind them."""
        width = len(self.names)
        records = CsvRecords(lines)
        empty = ("",) * width
        rows: list[Sequence[str]] = []
        problems: dict[int, str] = {}
        while True:
            begin = lines.offset
            try:
                row: Sequence[str] = next(records)
            except StopIteration:
                break
            except RowEndUnknown as error:
                raise JobFailed(
                    f"{self._path}: the row at byte {begin} is no CSV: {error}"
                ) from None
            except csv.Error as error:
                problems[len(rows)] = f"it is no CSV: {error}"
                row = empty
            if not row:
                continue  # an empty line is no row
            if len(row) != width:
                problems[len(rows)] = f"it has {len(row)} cells, the header {width}"
                row = empty
            elif not all(map(str.isascii, row)) and not all(map(is_text, row)):
                problems[len(rows)] = "it is not UTF-8"
                row = empty
            rows.append(row)
            if len(rows) == size:
                yield rows, problems, lines.offset
                rows, problems = [], {}
        if rows:
            yield rows, problems, lines.offset


def _floats(columns: InputColumns, wire: WireSignature) -> list[bool]:
    """Whether each column that the model takes has plain numbers of a tensor of floats."""
    named = wire.row_columns.columns
    if named:
        return [one.json_type == "number" and one.codes is None for one in named]
    plain = all(one.dtype.kind == "f" for one in wire.row_columns.inputs)
    return [plain] * len(columns.taken)


def _readers(columns: InputColumns, wire: WireSignature) -> list[Callable[[str], Any]]:
    """The reader of each column that the model takes."""
    named = wire.row_columns.columns
    if named:
        return [cell_reader(one) for one in named]
    texts = any(one.spec.datatype == "BYTES" for one in wire.row_columns.inputs)
    return [cell_reader(None) if not texts else str] * len(columns.taken)


def _cells(
    texts: Sequence[str], read: Callable[[str], Any], *, plain: bool
) -> Sequence[Any] | Array:
    """The values of a column; an array if all are finite numbers of a column of floats."""
    if plain and not "".join(texts).translate(_OF_NUMBERS):
        try:
            numbers = np.array([float(one) for one in texts])
        except ValueError:
            pass
        else:
            for at in np.flatnonzero((numbers == 0) & np.signbit(numbers)).tolist():
                numbers[at] = read(texts[at])  # -0 is a whole number, which has no sign; -0.0 has
            if np.isfinite(numbers).all():
                return numbers
    return [read(one) for one in texts]
