"""Whole rows of a window: a bounded sample of its distinct rows, and how often each came. Pure.

Counts over bins know each column by itself. A sample of rows says what columns do together, which
rows are repeated, and in which order values came. It holds the rows with the smallest hashes of
their inputs (distinct sampling, Gibbons 2001): a row that comes a thousand times takes one place,
and each occurrence of a row that is kept at the end was counted. The hashes, and so the sample,
depend on the values only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zlib import crc32

import numpy as np

from .bins import CategoryBins, text
from .halves import scrambled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .baseline import Reference

#: Distinct rows that are kept, and cells of them together.
MOST_ROWS: Final = 1000
MOST_CELLS: Final = 100_000
_FOLD: Final = np.uint64(32)
_WHOLE: Final = float(1 << 32)
_HASHES: Final = float(1 << 64)
#: Candidates for the most frequent row.
_MOST_OFTEN: Final = 16


class Cells(NamedTuple):
    """Values of one column of a frame of rows.

    Attributes:
        name: Name of the feature.
        reference: Has its bins.
        values: One for each row, as `Window.add` takes them.
    """

    name: str
    reference: Reference
    values: NDArray[Any]


class RowSample:
    """Distinct rows of a window.

    Attributes:
        names: Columns, in the order of `values`; those of the first frame that had any.
        output: Whether each column is an output.
        categorical: Whether each column holds categories.
        rows: Rows that were looked at.
        hashes: Of the kept rows, ascending; uint64.
        counts: How often each came; int64.
        places: Place of its first occurrence among the rows of the window; int64.
        values: float64, kept rows by columns. NaN is missing. A category is the number of its bin,
            and what tells it from others of the bin behind the point.
    """

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self.output: tuple[bool, ...] = ()
        self.categorical: tuple[bool, ...] = ()
        self.rows = 0
        self.hashes = np.empty(0, np.uint64)
        self.counts = np.empty(0, np.int64)
        self.places = np.empty(0, np.int64)
        self.values = np.empty((0, 0))
        self._often: dict[int, int] = {}

    @property
    def distinct(self) -> float:
        """Distinct rows of the window; an estimate (Bar-Yossef et al. 2002) if not all are kept."""
        kept = len(self.hashes)
        if kept < self._most:
            return float(kept)
        return (kept - 1) / (float(self.hashes[-1]) / _HASHES)

    @property
    def most_often(self) -> int:
        """The count of the most frequent row; a lower bound."""
        return max(self._often.values(), default=0)

    def take(self, columns: Sequence[Cells]) -> None:
        """Take the rows of a frame.

        Args:
            columns: Those that have a value for each row of the frame, all of one length.
        """
        if not columns or not len(columns[0].values):
            return
        if not self.names:
            self._begin(columns)
        found = {one.name: one for one in columns}
        rows = len(columns[0].values)
        cells = np.full((rows, len(self.names)), np.nan)
        mixed = np.zeros(rows, np.uint64)
        blank = np.ones(rows, bool)
        for place, name in enumerate(self.names):
            if name not in found:
                continue
            cells[:, place] = _numbers(found[name])
            if not self.output[place]:
                mixed += _mixed(cells[:, place], place)
                blank &= np.isnan(cells[:, place])
        places = np.arange(self.rows, self.rows + rows)
        self.rows += rows
        # Rows without any value are what a broken client sends, and not one row again and again.
        mixed[blank] += scrambled(places[blank].astype(np.uint64))
        self._merge(scrambled(mixed), places, cells)

    def in_order(self) -> NDArray[np.float64]:
        """The values in the order in which they came."""
        return self.values[np.argsort(self.places)]

    def _begin(self, columns: Sequence[Cells]) -> None:
        self.names = tuple(one.name for one in columns)
        self.output = tuple(one.reference.output for one in columns)
        self.categorical = tuple(one.reference.categorical for one in columns)
        self.values = np.empty((0, len(columns)))

    def _merge(
        self, hashes: NDArray[np.uint64], places: NDArray[np.int64], cells: NDArray[np.float64]
    ) -> None:
        most = self._most
        fresh, first, counts = np.unique(hashes, return_index=True, return_counts=True)
        self._count_often(fresh, counts)
        if len(self.hashes) >= most:
            few = fresh <= self.hashes[-1]
            fresh, first, counts = fresh[few], first[few], counts[few]
        at = np.searchsorted(self.hashes, fresh)
        known = at < len(self.hashes)
        known[known] = self.hashes[at[known]] == fresh[known]
        self.counts[at[known]] += counts[known]
        new = ~known
        joined = np.concatenate([self.hashes, fresh[new]])
        kept = np.argsort(joined)[:most]
        self.hashes = joined[kept]
        self.counts = np.concatenate([self.counts, counts[new]])[kept]
        self.places = np.concatenate([self.places, places[first[new]]])[kept]
        self.values = np.concatenate([self.values, cells[first[new]]])[kept]

    @property
    def _most(self) -> int:
        return min(MOST_ROWS, max(1, MOST_CELLS // max(1, len(self.names))))

    def _count_often(self, hashes: NDArray[np.uint64], counts: NDArray[np.int64]) -> None:
        """Count the rows that came most often in some frame; others are forgotten."""
        for place in np.argsort(counts)[-_MOST_OFTEN:].tolist():
            one = int(hashes[place])
            self._often[one] = self._often.get(one, 0) + int(counts[place])
        if len(self._often) > _MOST_OFTEN:
            often = sorted(self._often.items(), key=lambda item: -item[1])
            self._often = dict(often[:_MOST_OFTEN])


def _numbers(column: Cells) -> NDArray[np.float64]:
    """The values as numbers that tell them apart."""
    bins = column.reference.bins
    if not isinstance(bins, CategoryBins):
        return column.values.astype(np.float64, copy=False)
    values = column.values.tolist()
    known = {value: _category(bins, value) for value in set(values)}
    return np.array([known[value] for value in values])


def _category(bins: CategoryBins, value: Any) -> float:
    name = text(value)
    return bins.place(name) + crc32(name.encode()) / _WHOLE if name else np.nan


def _mixed(values: NDArray[np.float64], place: int) -> NDArray[np.uint64]:
    """The part of a column in the hash of a row."""
    bits = np.ascontiguousarray(values).view(np.uint64)
    odd = scrambled(np.array([place], np.uint64)) | np.uint64(1)
    with np.errstate(over="ignore"):
        mixed: NDArray[np.uint64] = (bits ^ (bits >> _FOLD)) * odd
    return mixed
