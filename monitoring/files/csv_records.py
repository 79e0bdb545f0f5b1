"""Rows of CSV as Python reads them, but none is lost where a quoted cell does not end.

`csv.reader` takes a quoted cell that does not end as one that ends with the file: all rows in it
are gone without a word. After an error it goes on with the next line, which may be the middle of a
quoted cell. RFC 4180 has the format.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Self

_QUOTE = '"'


class RowEndUnknown(csv.Error):
    """Nobody can tell where the row ends that cannot be read, and so where the next one begins."""


class CsvRecords:
    """An iterator over the rows of a CSV text; an empty line is a row without cells.

    Args:
        lines: Lines with their ends. No line is taken before its row is asked for.
        delimiter: Stands between two cells.
    """

    def __init__(self, lines: Iterable[str], delimiter: str = ",") -> None:
        self._lines = lines
        self._quoted = self._ended = False
        self._reader = csv.reader(self._watched(), delimiter=delimiter)

    @property
    def line_number(self) -> int:
        """Number of the last line that was read, from 1."""
        return self._reader.line_num

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> list[str]:
        """The cells of the next row.

        Raises:
            RowEndUnknown: It cannot be read, and what follows means nothing.
            csv.Error: It cannot be read; the next row can.
            StopIteration: There is none.
        """
        self._quoted = False
        try:
            row = next(self._reader)
        except csv.Error as error:
            if self._quoted:
                raise RowEndUnknown(f"{error}, and nobody can tell where the row ends") from None
            raise
        if self._ended:
            raise RowEndUnknown("a quotation mark has no second one at the end of its cell")
        return row

    def _watched(self) -> Iterator[str]:
        for line in self._lines:
            if _QUOTE in line:
                self._quoted = True
            yield line
        self._ended = True
