"""The latest figures of each version and arm, prepared so that a scrape is one small query."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from .segment_ids import read_segments

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

#: Labels that the figures are of.
LATEST: Final = 10_000
#: Segments of a version and arm that have figures.
MOST_SEGMENTS: Final = 264
_SLOTS: Final = "SELECT id FROM slots WHERE model = ? AND version = ?"
_FIGURES: Final = (
    'SELECT count(*), avg("right"), avg(loss), avg(received - predicted_at) FROM'
    ' (SELECT "right", loss, received, predicted_at FROM labels WHERE slot = ?'
    " ORDER BY predicted_at DESC LIMIT ?)"
)
#: Labels, right ones and losses by segments, of the same labels.
_SEGMENTS: Final = (
    'SELECT segment, count(*), sum("right"), sum(loss) FROM (SELECT segment, "right", loss FROM'
    " labels WHERE slot = ? ORDER BY predicted_at DESC LIMIT ?) WHERE loss IS NOT NULL"
    " GROUP BY segment"
)
_TOTAL: Final = "SELECT count(*) FROM labels WHERE slot = ?"
#: Labels that are no class of the model, or no number where it gives numbers.
_VAIN: Final = "SELECT count(*) FROM labels WHERE slot = ? AND loss IS NULL"
_ROWS: Final = "SELECT total(rows) FROM traffic WHERE slot = ?"


def summarise(
    connection: sqlite3.Connection, model: str, version: str
) -> dict[int, dict[str, Any]]:
    """Write the figures of every arm of a version, and give them by slot; the caller commits."""
    execute = connection.execute
    names = read_segments(connection)
    found: dict[int, dict[str, Any]] = {}
    for (slot,) in execute(_SLOTS, (model, version)).fetchall():
        count, right, loss, delay = execute(_FIGURES, (slot, LATEST)).fetchone()
        if not count:
            continue
        summary = found[slot] = {
            "labels": execute(_TOTAL, (slot,)).fetchone()[0],
            "accuracy": right,
            "loss": loss,
            "delay_seconds": delay,
            "not_comparable": execute(_VAIN, (slot,)).fetchone()[0],
            "predictions": execute(_ROWS, (slot,)).fetchone()[0],
            "segments": _by_segment(connection, slot, names),
        }
        execute("INSERT OR REPLACE INTO summaries VALUES (?, ?)", (slot, json.dumps(summary)))
    return found


def _by_segment(
    connection: sqlite3.Connection, slot: int, names: Mapping[int, Mapping[str, str]]
) -> list[list[str | float | None]]:
    """Field, value, labels, accuracy and mean loss; segments with most labels come first."""
    sums: dict[tuple[str, str], list[float]] = {}
    for number, labels, right, loss in connection.execute(_SEGMENTS, (slot, LATEST)):
        for place in names.get(number, {}).items():
            one = sums.setdefault(place, [0, 0, 0.0])
            one[:] = one[0] + labels, one[1] + (right or 0), one[2] + loss
    ordered = sorted(sums.items(), key=lambda one: -one[1][0])
    return [
        [*place, labels, right / labels, loss / labels]
        for place, (labels, right, loss) in ordered[:MOST_SEGMENTS]
    ]
