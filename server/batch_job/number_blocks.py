"""Blocks of plain lines of CSV, read by pyarrow as columns: many times as fast as row by row.

A block is taken only where that gives what the reader of single rows gives, bit for bit:

- It ends with a line end, and has no quotation mark, no NUL and no carriage return but before a
  line end: then each line is a row, and each comma ends a cell.
- It is UTF-8, and pyarrow finds as many cells in each line as the header has.
- It has no blank and no tab, which pyarrow strips from numbers. The numbers that pyarrow reads of
  the rest, and that are finite, are numbers for `float`, too, and both round to the nearest.
- No number is a negative zero: of ``-0``, a whole number, the reader of rows drops the sign.

All else is left to that reader, with its errors for each row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from .job_failed import JobFailed
from .parquet_library import arrow_csv

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Self

    from penstock.runtimes.contract import Array

#: Of a smaller file, importing pyarrow takes longer than reading it row by row.
LEAST_FILE_BYTES: Final = 8 << 20
#: Bytes read at a time: at least, before the length of a line is known; and at most.
_LEAST_BYTES: Final = 1 << 16
_MOST_BYTES: Final = 4 << 20
#: Of what is expected, for lines of different lengths.
_SPARE: Final = 1.1
_FEED: Final = 10
_NOT_PLAIN: Final = (b'"', b"\0", b" ", b"\t")


class Block(NamedTuple):
    """Rows of a file.

    Attributes:
        rows: Number of rows.
        cells: One array of numbers for each column that is taken.
        carried: Texts by column that is carried.
        offset: Offset behind them in bytes.
    """

    rows: int
    cells: list[Array]
    carried: dict[str, list[str]]
    offset: int


class NumberBlocks:
    """Reads blocks of one file. Use as a context manager.

    Args:
        path: Path of the file.
        names: Names of all its columns.
        taken: Columns that are read as numbers.
        carried: Columns that are read as texts.
    """

    def __init__(
        self, path: Path, names: Sequence[str], taken: Sequence[str], carried: Sequence[str]
    ) -> None:
        self._file = path.open("rb", buffering=0)
        self._line_bytes = 0.0
        self._csv: Any = None
        if path.stat().st_size < LEAST_FILE_BYTES:
            return
        try:
            self._arrow, self._csv = arrow_csv()
        except JobFailed:  # pyarrow comes with an extra
            return
        self._names = list(names)
        self._numbers = dict.fromkeys(taken, self._arrow.float64())
        self._texts = dict.fromkeys(carried, self._arrow.string())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, offset: int, most: int) -> Block | None:
        """The rows from an offset on; ``None`` if they have to be read one by one.

        Args:
            offset: Offset of a row in bytes.
            most: Most rows.

        Raises:
            OSError: The file cannot be read.
        """
        if self._csv is None:
            return None
        wanted = int(most * self._line_bytes * _SPARE)
        self._file.seek(offset)
        data = self._file.read(min(max(wanted, _LEAST_BYTES), _MOST_BYTES))
        ends = np.flatnonzero(np.frombuffer(data, np.uint8) == _FEED)[:most]
        if not len(ends):
            return None
        end = int(ends[-1]) + 1
        self._line_bytes = end / len(ends)
        block = data[:end]
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n")
        if b"\r" in block or any(one in block for one in _NOT_PLAIN) or not _is_utf8(block):
            return None
        return self._parsed(block, offset + end)

    def _parsed(self, block: bytes, offset: int) -> Block | None:
        try:
            numbers = self._table(block, self._numbers)
            texts = self._table(block, self._texts) if self._texts else None
        except self._arrow.ArrowInvalid:
            return None
        cells = [numbers.column(name).to_numpy() for name in self._numbers]
        if not numbers.num_rows or not all(map(_is_plain, cells)):
            return None
        carried: dict[str, list[str]] = {}
        if texts is not None:
            carried = {name: texts.column(name).to_pylist() for name in self._texts}
        return Block(numbers.num_rows, cells, carried, offset)

    def _table(self, block: bytes, types: dict[str, Any]) -> Any:
        options = self._csv
        return options.read_csv(
            self._arrow.BufferReader(block),
            read_options=options.ReadOptions(
                use_threads=False, column_names=self._names, block_size=len(block) + 1
            ),
            parse_options=options.ParseOptions(quote_char=False),
            convert_options=options.ConvertOptions(
                column_types=types, include_columns=list(types), null_values=[]
            ),
        )


def _is_plain(numbers: Array) -> bool:
    """Whether all are finite and none is a negative zero."""
    return bool(np.isfinite(numbers).all()) and not (np.signbit(numbers) & (numbers == 0)).any()


def _is_utf8(block: bytes) -> bool:
    if block.isascii():
        return True
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True
