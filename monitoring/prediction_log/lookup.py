"""Finds predictions by request id, wherever they are."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.databases import is_damage
from penstock.monitoring.offline_duckdb import connect

from .catalog import catalog, read_only
from .day_file import VERSIONS, quoted
from .log_directory import LogDirectory
from .naming import NAMING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .catalog import DayTable

#: Rows of one request that are shown.
MAX_ROWS: Final = 1000


def find(state: Path, request_id: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of a request, each with its model, and what could not be looked at.

    Args:
        state: ``state_dir/monitor``.
        request_id: As the answer had it in ``x-request-id``.

    Raises:
        sqlite3.Error: A day file cannot be read.
    """
    models, notes = catalog(LogDirectory(state))
    found: list[dict[str, Any]] = []
    unread = 0
    for model, files in models.items():
        for table in files.tables:
            try:
                found += _in_day_file(model, table, request_id)
            except sqlite3.Error as error:
                if not is_damage(error):
                    raise
                notes.append(f"{table.path.name} is damaged and was left out: {error}")
        if files.parts:
            try:
                found += _in_parquet(model, files.parts, request_id)
            except ImportError:
                unread += len(files.parts)
    if unread:
        notes.append("sealed days were not looked at: that takes the extra analytics")
    return found[:MAX_ROWS], notes


def _in_day_file(model: str, table: DayTable, request_id: str) -> list[dict[str, Any]]:
    found = []
    with closing(read_only(table.path)) as db:
        cursor = db.execute(
            f"select * from {quoted(model)} where request_id = ? order by row limit ?",  # noqa: S608  quoted
            (request_id, MAX_ROWS),
        )
        names = [one[0] for one in cursor.description]
        for row in cursor.fetchall():
            one = _row(model, names, row)
            digest = db.execute(
                f'select digest from "{VERSIONS}" where model = ? and version = ?',  # noqa: S608  a constant
                (model, one["version"]),
            ).fetchone()
            one.setdefault("digest", digest[0] if digest else None)
            found.append(one)
    return found


def _in_parquet(model: str, parts: list[Path], request_id: str) -> list[dict[str, Any]]:
    with connect() as db:
        cursor = db.execute(
            "select * from read_parquet(?, union_by_name = true, hive_partitioning = false)"
            " where request_id = ? order by row limit ?",
            [[str(path) for path in parts], request_id, MAX_ROWS],
        )
        names = [one[0] for one in cursor.description]
        return [_row(model, names, row) for row in cursor.fetchall()]


def _row(model: str, names: Sequence[str], row: Sequence[Any]) -> dict[str, Any]:
    found = {"model": model, **dict(zip(names, row, strict=True))}
    found.pop(NAMING, None)
    return found
