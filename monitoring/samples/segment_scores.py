"""The distributions of scores in both arms of a rollout, by segment; see `arm_scores`.

The monitor counts them, because it has the score and the segment of each sampled request anyway:
the path of a prediction does nothing for them. The bins are fifths of stable's scores over all
traffic. A request is in the segment of its first row. Counts are kept by 15 seconds.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from penstock.monitoring.segments.segment_rows import segment_name

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from .samples import BatchSample

#: Counts are kept by so many seconds.
SEGMENT_BUCKET_SECONDS: Final = 15
#: Bins of a segment: it has few scores.
SEGMENT_BINS: Final = 5
#: Rows of the table, 60 bytes each. When they are reached nothing more is counted until older ones
#: are pruned: a part of a step that is missing costs evidence and makes none.
MOST_ROWS: Final = 1_000_000
SEGMENT_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS segment_scores (
    model TEXT NOT NULL, version TEXT NOT NULL, arm TEXT NOT NULL, segment TEXT NOT NULL,
    bucket INTEGER NOT NULL, b0 INTEGER NOT NULL, b1 INTEGER NOT NULL, b2 INTEGER NOT NULL,
    b3 INTEGER NOT NULL, b4 INTEGER NOT NULL,
    PRIMARY KEY (model, version, arm, bucket, segment)) WITHOUT ROWID;
"""
_ADD: Final = (
    "INSERT INTO segment_scores (model, version, arm, segment, bucket, b0, b1, b2, b3, b4)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET b0 = b0 + excluded.b0,"
    " b1 = b1 + excluded.b1, b2 = b2 + excluded.b2, b3 = b3 + excluded.b3, b4 = b4 + excluded.b4"
)
#: Model, version, arm, segment, bucket.
_Key = tuple[str, str, str, str, int]

#: By version and arm, and by segment, requests in each bin.
SegmentBins = dict[tuple[str, str], dict[str, tuple[int, ...]]]


class SegmentScores:
    """Counts the scores of one file. One thread.

    Args:
        connection: To a file with `SEGMENT_SCHEMA`.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._counts: dict[_Key, list[int]] = {}
        self._rows = self._stored()

    def count(self, sample: BatchSample, places: Sequence[int], bins: int) -> None:
        """Count the requests of a sample.

        Args:
            sample: With the segments of its rows.
            places: The bin of the score of each request.
            bins: Number of these bins.
        """
        firsts = sample.offsets[:-1]
        for field in sample.segments:
            codes: list[int] = field.codes[np.asarray(firsts)].tolist()
            for code, place, when in zip(codes, places, sample.times, strict=True):
                bucket = int(when) // SEGMENT_BUCKET_SECONDS * SEGMENT_BUCKET_SECONDS
                name = segment_name(field.field, field.names[code])
                key = (sample.model, sample.version, sample.arm, name, bucket)
                counts = self._counts.get(key)
                if counts is None:
                    if self._rows + len(self._counts) >= MOST_ROWS:
                        continue
                    counts = self._counts[key] = [0] * SEGMENT_BINS
                counts[place * SEGMENT_BINS // bins] += 1

    def taken(self) -> list[tuple[object, ...]]:
        """The rows to be written by `write`; they are counted anew from now on."""
        counts, self._counts = self._counts, {}
        self._rows += len(counts)  # at most: some of them add to rows that are there
        return [(*key, *bins) for key, bins in counts.items()]

    def write(self, rows: list[tuple[object, ...]]) -> None:
        """Add rows, within the transaction of the caller."""
        self._connection.executemany(_ADD, rows)

    def prune(self, before: float) -> None:
        """Remove what was counted before, Unix seconds."""
        self._connection.execute("DELETE FROM segment_scores WHERE bucket < ?", (before,))
        self._rows = self._stored()

    def forget(self, model: str) -> None:
        """Remove the counts of a model: its bins are others from now on."""
        self._connection.execute("DELETE FROM segment_scores WHERE model = ?", (model,))
        self._counts = {key: one for key, one in self._counts.items() if key[0] != model}

    def _stored(self) -> int:
        (rows,) = self._connection.execute("SELECT count(*) FROM segment_scores").fetchone()
        return int(rows)


def read_bins(
    connection: sqlite3.Connection, model: str, since: float, until: float
) -> SegmentBins:
    """Requests that were answered between two times, by version and arm, segment and bin.

    Only whole spans of `SEGMENT_BUCKET_SECONDS` count.

    Args:
        connection: To the file.
        model: Name of the model.
        since: Unix seconds.
        until: The same; may be infinite.

    Raises:
        sqlite3.Error: The file cannot be read.
    """
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'segment_scores'")
    if known.fetchone() is None:  # of an earlier release
        return {}
    first = math.ceil(since / SEGMENT_BUCKET_SECONDS) * SEGMENT_BUCKET_SECONDS
    last = min(until - SEGMENT_BUCKET_SECONDS, 1e15)
    found: SegmentBins = {}
    for version, arm, segment, *bins in connection.execute(
        "SELECT version, arm, segment, sum(b0), sum(b1), sum(b2), sum(b3), sum(b4)"
        " FROM segment_scores WHERE model = ? AND bucket >= ? AND bucket <= ?"
        " GROUP BY version, arm, segment",
        (model, first, last),
    ):
        found.setdefault((version, arm), {})[segment] = tuple(bins)
    return found
