"""Numbers for the segments of rows: one for each combination of values of the declared fields."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import numpy as np

from penstock.monitoring.segments.field import OTHER

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from penstock.monitoring.samples.samples import BatchSample

#: Combinations of one ``truth.db``; the rows of any further one are `OTHER` by each field.
MOST_COMBINATIONS: Final = 65_536
#: The number of rows without segments.
NONE: Final = 0


class SegmentIds:
    """The combinations of one ``truth.db``.

    Args:
        connection: Open for writing.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        rows = connection.execute("SELECT names, id FROM segments").fetchall()
        self._numbers: dict[str, int] = dict(rows)

    def find(self, sample: BatchSample) -> NDArray[np.uint32]:
        """The number of each row."""
        fields = sample.segments
        if not fields:
            return np.full(sample.rows, NONE, np.uint32)
        codes = np.stack([one.codes for one in fields], axis=1)
        different, places = np.unique(codes, axis=0, return_inverse=True)
        numbers = []
        for row in different.tolist():
            pairs = zip(fields, row, strict=True)
            names: dict[str, str] = {one.field: one.names[int(code)] for one, code in pairs}
            numbers.append(self._number(names))
        found: NDArray[np.uint32] = np.array(numbers, np.uint32)[places.reshape(-1)]
        return found

    def _number(self, names: Mapping[str, str]) -> int:
        text = json.dumps(names, sort_keys=True, ensure_ascii=False)
        number = self._numbers.get(text)
        if number is not None:
            return number
        others = dict.fromkeys(names, OTHER)
        if len(self._numbers) >= MOST_COMBINATIONS and names != others:
            return self._number(others)
        query = "INSERT INTO segments (names) VALUES (?) RETURNING id"
        number = int(self._connection.execute(query, (text,)).fetchone()[0])
        self._numbers[text] = number
        return number


def read_segments(connection: sqlite3.Connection) -> dict[int, dict[str, str]]:
    """By number, the value of each field; empty for a file of an earlier release."""
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'segments'"
    if connection.execute(query).fetchone() is None:
        return {}
    rows = connection.execute("SELECT id, names FROM segments").fetchall()
    return {number: json.loads(names) for number, names in rows}
