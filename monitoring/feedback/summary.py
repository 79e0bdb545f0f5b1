"""The latest figures of each version and arm, prepared so that a scrape is one small query."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlite3

#: Labels that the figures are of.
LATEST: Final = 10_000
_SLOTS: Final = "SELECT id FROM slots WHERE model = ? AND version = ?"
_FIGURES: Final = (
    'SELECT count(*), avg("right"), avg(loss), avg(received - predicted_at) FROM'
    ' (SELECT "right", loss, received, predicted_at FROM labels WHERE slot = ?'
    " ORDER BY predicted_at DESC LIMIT ?)"
)
_TOTAL: Final = "SELECT count(*) FROM labels WHERE slot = ?"
#: Labels that are no class of the model, or no number where it gives numbers.
_VAIN: Final = "SELECT count(*) FROM labels WHERE slot = ? AND loss IS NULL"
_ROWS: Final = "SELECT total(rows) FROM traffic WHERE slot = ?"


def summarise(connection: sqlite3.Connection, model: str, version: str) -> None:
    """Write the figures of every arm of a version; the caller commits."""
    execute = connection.execute
    for (slot,) in execute(_SLOTS, (model, version)).fetchall():
        count, right, loss, delay = execute(_FIGURES, (slot, LATEST)).fetchone()
        if not count:
            continue
        summary = {
            "labels": execute(_TOTAL, (slot,)).fetchone()[0],
            "accuracy": right,
            "loss": loss,
            "delay_seconds": delay,
            "not_comparable": execute(_VAIN, (slot,)).fetchone()[0],
            "predictions": execute(_ROWS, (slot,)).fetchone()[0],
        }
        execute("INSERT OR REPLACE INTO summaries VALUES (?, ?)", (slot, json.dumps(summary)))
