"""One prediction with its whole chain: rows, version and its lineage, labels, drift windows."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.drift.reading import open_windows
from penstock.monitoring.feedback.schema import FEEDBACK_FILE, open_to_read
from penstock.monitoring.prediction_log.lookup import find
from penstock.server.drift.versions import WINDOWS
from penstock.server.registry.lineage import lineage

from .cells import MAX_SHOWN, plain

if TYPE_CHECKING:
    from pathlib import Path

#: Rows of a request, its labels and windows that are shown.
_MOST: Final = 100
#: Predictions of one id that are named.
_NAMED: Final = 3
_LABELS: Final = (
    "SELECT idx, label, label_time, received, source FROM labels WHERE request_id = ?"
    " ORDER BY idx, source LIMIT ?"
)
_WINDOW: Final = (
    "SELECT arm, start, end, rows, state, span FROM windows"
    " WHERE model = ? AND version = ? AND start <= ? AND end >= ? ORDER BY end LIMIT ?"
)


def chain(state: Path, registry: Path, request_id: str) -> dict[str, Any]:
    """What is known of a request.

    Args:
        state: ``state_dir/monitor``.
        registry: The model repository.
        request_id: As the answer had it in ``x-request-id``.

    Raises:
        sqlite3.Error: A file cannot be read.
    """
    rows, notes = find(state, request_id)
    found: dict[str, Any] = {
        "request_id": request_id,
        "rows": [
            {name: plain(one, MAX_SHOWN) for name, one in row.items()} for row in rows[:_MOST]
        ],
        "more": len(rows) > _MOST,
        "notes": notes,
        "lineage": {},
        "labels": _labels(state, request_id),
        "windows": [],
    }
    if rows:
        first = rows[0]
        several = list(dict.fromkeys((one["model"], one["version"], one["time"]) for one in rows))
        if len(several) > 1:
            named = ", ".join(f"{model} {version}" for model, version, _ in several[:_NAMED])
            further = ", …" if len(several) > _NAMED else ""
            told = (
                f"{len(several)} predictions have this id ({named}{further}); version and drift "
                "windows are those of the first"
            )
            found["notes"] = [*notes, told]
        known = lineage(registry, first["model"], first["version"])
        found["lineage"] = known.check(first["digest"] or "")
        found["windows"] = _windows(state, first)
    return found


def _labels(state: Path, request_id: str) -> list[dict[str, Any]]:
    connection = open_to_read(state / FEEDBACK_FILE)
    if connection is None:
        return []
    with closing(connection):
        connection.row_factory = None
        rows = connection.execute(_LABELS, (request_id, _MOST)).fetchall()
    names = ["row", "label", "label_time", "received", "source"]
    return [dict(zip(names, (plain(one, MAX_SHOWN) for one in row), strict=True)) for row in rows]


def _windows(state: Path, row: dict[str, Any]) -> list[dict[str, Any]]:
    """The windows in which the prediction may have been counted: all arms of its version."""
    database = open_windows(state / WINDOWS)
    if database is None:
        return []
    moment = float(row["time"])
    place = row["model"], str(row["version"]), moment, moment, _MOST
    with closing(database):
        try:
            rows = database.execute(_WINDOW, place).fetchall()
        except sqlite3.OperationalError:  # the file was just made
            return []
    names = ["arm", "start", "end", "rows", "state", "span"]
    mine = row["arm"] or ""
    found = [dict(zip(names, one, strict=True)) for one in rows]
    return [one for one in found if one["arm"] in {"", mine}]
