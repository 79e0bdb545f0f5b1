"""The distributions of scores in both arms of a rollout, for the controller to compare.

A score is one number of an answer: of the first output with numbers, the last column of the first
row. The bins are the deciles of stable's first scores. Counts are kept by five seconds, so that the
controller can take those of the time in which a share was in force.
"""

from __future__ import annotations

import json
import math
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

import numpy as np

from .segment_scores import SEGMENT_SCHEMA, SegmentBins, SegmentScores, read_bins

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .samples import Array, BatchSample


FILE: Final = "arm_scores.db"
#: Counts are kept by so many seconds, and for so long.
BUCKET_SECONDS: Final = 5
KEEP_SECONDS: Final = 7 * 86_400
#: Scores of stable that the bins are made of, and the bins.
LEARN_SCORES: Final = 500
BINS: Final = 10
#: Models whose scores are counted.
MAX_MODELS: Final = 1024
_BUSY_SECONDS: Final = 5.0
_PRUNE_SECONDS: Final = 3600.0
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS edges (
    model TEXT PRIMARY KEY, version TEXT NOT NULL, edges TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS scores (
    model TEXT NOT NULL, version TEXT NOT NULL, arm TEXT NOT NULL, bucket INTEGER NOT NULL,
    bin INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (model, version, arm, bucket, bin)) WITHOUT ROWID;
"""
#: Model, version, arm, bucket, bin.
_Key = tuple[str, str, str, int, int]


class ArmScores:
    """Counts the scores of requests that a rollout has given an arm.

    Args:
        directory: ``STATE_DIR/monitor``.
    """

    def __init__(self, directory: Path) -> None:
        self._connection = sqlite3.connect(
            directory / FILE,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.executescript(_SCHEMA + SEGMENT_SCHEMA)
        self._segments = SegmentScores(self._connection)
        self._edges: dict[str, tuple[str, list[float]]] = {
            model: (version, json.loads(edges))
            for model, version, edges in self._connection.execute("SELECT * FROM edges")
        }
        self._learning: dict[tuple[str, str], list[float]] = {}
        self._counts: dict[_Key, int] = {}
        self._pruned_at = -math.inf

    def take(self, samples: Sequence[BatchSample]) -> None:
        """Count those that have an arm."""
        for sample in samples:
            if sample.arm and not sample.error:
                self._count(sample)

    def tick(self, now: float) -> None:
        """Write what is new."""
        counts, self._counts = self._counts, {}
        by_segment = self._segments.taken()
        connection = self._connection
        if counts:
            with connection:  # commits, or rolls back: the next tick begins anew
                connection.execute("BEGIN")
                connection.executemany(
                    "INSERT INTO scores VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
                    " SET count = count + excluded.count",
                    [(*key, count) for key, count in counts.items()],
                )
                self._segments.write(by_segment)
        if now - self._pruned_at >= _PRUNE_SECONDS:
            self._pruned_at = now
            connection.execute("DELETE FROM scores WHERE bucket < ?", (now - KEEP_SECONDS,))
            self._segments.prune(now - KEEP_SECONDS)

    def close(self) -> None:
        """Write the rest."""
        self.tick(self._pruned_at)
        self._connection.close()

    def _count(self, sample: BatchSample) -> None:
        scores = scores_of(sample)
        if scores is None:
            return
        if sample.arm == "stable":
            self._learn(sample, scores)
        known = self._edges.get(sample.model)
        if known is None:
            return
        places = np.searchsorted(known[1], scores, side="right").tolist()
        if sample.segments:
            self._segments.count(sample, places, len(known[1]) + 1)
        for place, when in zip(places, sample.times, strict=True):
            bucket = int(when) // BUCKET_SECONDS * BUCKET_SECONDS
            key = (sample.model, sample.version, sample.arm, bucket, place)
            self._counts[key] = self._counts.get(key, 0) + 1

    def _learn(self, sample: BatchSample, scores: Array) -> None:
        """Make bins of the first scores of a version that is stable."""
        model, version = sample.model, sample.version
        known = self._edges.get(model)
        if (known is not None and known[0] == version) or len(self._learning) >= MAX_MODELS:
            return
        seen = self._learning.setdefault((model, version), [])
        seen += scores[np.isfinite(scores)].tolist()
        if len(seen) < LEARN_SCORES:
            return
        del self._learning[model, version]
        inner = np.arange(1, BINS) / BINS
        edges = sorted({float(one) for one in np.quantile(seen, inner)})
        # Equal scores fall between two edges, whatever is next to them.
        edges = sorted({*edges, *(math.nextafter(one, math.inf) for one in edges)})
        self._edges[model] = version, edges
        self._connection.execute(
            "INSERT OR REPLACE INTO edges VALUES (?, ?, ?)", (model, version, json.dumps(edges))
        )
        self._connection.execute("DELETE FROM scores WHERE model = ?", (model,))
        self._segments.forget(model)


def scores_of(sample: BatchSample) -> Array | None:
    """The score of each request; ``None`` if no output has numbers."""
    for array in sample.outputs:
        if array is not None and array.dtype.kind in "fiub" and array.size:
            firsts = array[np.asarray(sample.offsets[:-1])]
            scores: Array = firsts.reshape(len(firsts), -1)[:, -1].astype(np.float64)
            return scores
    return None


def read_scores(
    directory: Path, model: str, since: float, until: float
) -> dict[tuple[str, str], dict[int, int]]:
    """Requests by version and arm, and by bin of the score, that were answered between two times.

    Only whole spans of `BUCKET_SECONDS` count.

    Args:
        directory: ``STATE_DIR/monitor``.
        model: Name of the model.
        since: Unix seconds.
        until: The same; may be infinite.

    Raises:
        sqlite3.Error: The file cannot be read.
    """
    connection = _open(directory)
    if connection is None:
        return {}
    first = math.ceil(since / BUCKET_SECONDS) * BUCKET_SECONDS
    last = min(until - BUCKET_SECONDS, 1e15)
    found: dict[tuple[str, str], dict[int, int]] = {}
    with closing(connection):
        for version, arm, place, count in connection.execute(
            "SELECT version, arm, bin, sum(count) FROM scores WHERE model = ? AND bucket >= ?"
            " AND bucket <= ? GROUP BY version, arm, bin",
            (model, first, last),
        ):
            found.setdefault((version, arm), {})[place] = count
    return found


def read_segment_scores(directory: Path, model: str, since: float, until: float) -> SegmentBins:
    """The same by segment, in fewer bins; see `segment_scores.read_bins`.

    Raises:
        sqlite3.Error: The file cannot be read.
    """
    connection = _open(directory)
    if connection is None:
        return {}
    with closing(connection):
        return read_bins(connection, model, since, until)


def _open(directory: Path) -> sqlite3.Connection | None:
    """To read; ``None`` if there is no file."""
    path = directory / FILE
    if not path.is_file():
        return None
    uri = f"{path.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS)
