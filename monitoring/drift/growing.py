"""Columns that only grow, such as ids and timestamps: no window of them is like another. Pure.

Such a column is recognised by the order of its values, not by its trend:

- Within a window its rows are a few rising sequences (or falling ones), one for each worker that
  hands out values: the longest strictly falling subsequence is as long as the number of rising
  sequences that are needed (Dilworth 1950). For rows in random order it is about twice the square
  root of their number. A trend with noise has a long one, too, unless it moves by some thirty
  standard deviations of the noise within one window.
- The values of the next window fall into a few gaps between the values of this one. Values that
  come back, and values of a batch that somebody sorted, fall into many.

A column of texts is left out if its values do not come back: in windows that follow each other
hardly any value is the same, although values repeat within a window, or none does at all.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .row_sample import RowSample

#: Rows of a window below which nothing is said, and of more an even part that is looked at.
LEAST_ROWS: Final = 50
MOST_ROWS: Final = 256
#: The most sequences that a growing column is made of.
MOST_SEQUENCES: Final = 12
#: Windows that agree until a column is taken for one that grows.
LEAST_WINDOWS: Final = 2
#: The same for columns of texts, whose values have no order.
LEAST_TEXT_WINDOWS: Final = 4
_LEAST_DISTINCT: Final = 10
_LEAST_NEW: Final = 0.9
#: Values of texts that come back, as a part of those that would if any came as often as before.
_COME_BACK: Final = 0.1


class Growth:
    """The growth of each column in the last windows. Columns that do not grow take no room."""

    def __init__(self) -> None:
        self._blocks: dict[str, list[NDArray[np.float64]]] = {}
        self._falling: dict[str, bool] = {}
        self._texts: set[str] = set()

    @property
    def growing(self) -> list[str]:
        """Columns that grow, or whose texts do not come back."""
        return sorted(
            name
            for name, blocks in self._blocks.items()
            if len(blocks) >= (LEAST_TEXT_WINDOWS if name in self._texts else LEAST_WINDOWS)
        )

    @property
    def suspected(self) -> set[str]:
        """Numbers that grew within the last window: whether they come back is not known yet."""
        return {
            name
            for name, blocks in self._blocks.items()
            if len(blocks) < LEAST_WINDOWS and name not in self._texts
        }

    def look(self, sample: RowSample) -> None:
        """Take the rows of the next window."""
        rows = sample.in_order()
        if len(rows) < LEAST_ROWS:
            return
        rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_ROWS)).astype(int)]
        for place, name in enumerate(sample.names):
            if sample.output[place]:
                continue
            values = rows[:, place]
            values = values[np.isfinite(values)]
            if 2 * len(values) < len(rows):
                self._forget(name)
            elif sample.categorical[place]:
                self._look_at_texts(name, values)
            else:
                self._look_at_numbers(name, values)

    def to_dict(self) -> dict[str, Any]:
        """For msgpack."""
        return {
            "blocks": {name: [one.tobytes() for one in of] for name, of in self._blocks.items()},
            "falling": self._falling,
            "texts": sorted(self._texts),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Growth:
        """The reverse of `to_dict`."""
        made = cls()
        made._blocks = {
            name: [np.frombuffer(one) for one in of] for name, of in content["blocks"].items()
        }
        made._falling = dict(content["falling"])
        made._texts = set(content["texts"])
        return made

    def _forget(self, name: str) -> None:
        self._blocks.pop(name, None)
        self._falling.pop(name, None)
        self._texts.discard(name)

    def _look_at_numbers(self, name: str, values: NDArray[np.float64]) -> None:
        most = min(MOST_SEQUENCES, math.sqrt(len(values)) / 2)
        falling = sequences(-values, most) <= most
        rises = sequences(values, most) <= most
        if falling is rises or len(distinct := np.unique(values)) < _LEAST_DISTINCT:
            self._forget(name)
            return
        before = self._blocks.get(name)
        if before and (self._falling[name] is not falling or not _beyond(before[-1], values, most)):
            self._forget(name)
        self._falling[name] = falling
        self._blocks[name] = [*self._blocks.get(name, []), distinct][-LEAST_WINDOWS:]

    def _look_at_texts(self, name: str, values: NDArray[np.float64]) -> None:
        blocks = [*self._blocks.get(name, []), values][-LEAST_TEXT_WINDOWS:]
        found = [np.unique(one, return_counts=True) for one in blocks]
        within = sum(_pairs(counts) for _, counts in found)
        possible = sum(len(one) * (len(one) - 1) / 2 for one in blocks)
        across = expected = 0.0
        for place, (mine, counts) in enumerate(found):
            for other, others in found[:place]:
                _, here, there = np.intersect1d(mine, other, return_indices=True)
                across += float(counts[here] @ others[there])
                expected += within / possible * float(counts.sum() * others.sum())
        few = len(found[-1][0]) < _LEAST_DISTINCT
        if few or across > _COME_BACK * expected + (1.0 if len(blocks) > 2 else 0.0):  # noqa: PLR2004
            self._forget(name)
            return
        self._texts.add(name)
        self._blocks[name] = blocks


def sequences(values: NDArray[np.float64], most: float = math.inf) -> int:
    """The fewest sequences, none of which ever falls, that values in this order are made of.

    Args:
        values: One axis.
        most: The count ends at the first number above it: values in random order are soon there.

    Returns:
        The length of the longest strictly falling subsequence.
    """
    tails: list[float] = []
    for value in (-values).tolist():
        place = bisect_left(tails, value)
        tails[place : place + 1] = [value]
        if len(tails) > most:
            break
    return len(tails)


def _beyond(before: NDArray[np.float64], values: NDArray[np.float64], most: float) -> bool:
    """Whether values fall into few gaps between those of the window before, and few are equal."""
    low = np.searchsorted(before, values, side="left")
    high = np.searchsorted(before, values, side="right")
    return bool(
        len(np.unique(low + high)) <= most
        and np.count_nonzero(low == high) >= _LEAST_NEW * len(low)
    )


def _pairs(counts: NDArray[np.int64]) -> float:
    return float((counts * (counts - 1) / 2).sum())
