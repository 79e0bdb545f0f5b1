"""Queries over day files with SQLite alone."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from penstock.monitoring.databases import is_corrupt

from .answer import ALL, ALL_COLUMNS, TIMEOUT_SECONDS, Answer, QueryFailed
from .day_file import VERSIONS, quoted
from .naming import NAMING, folded
from .reader import DIGEST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .catalog import DayTable, ModelFiles

#: Databases that SQLite attaches at once; what its builds allow by default.
MAX_FILES: Final = 10
_BUSY_SECONDS: Final = 5.0
#: Steps of SQLite's machine between two looks at the clock.
_STEPS: Final = 100_000

_ALLOWED: Final = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}


def run(
    models: Mapping[str, ModelFiles],
    statement: str,
    limit: int,
    clock: Callable[[], float] = time.monotonic,
) -> Answer:
    """Answer one SELECT.

    Raises:
        QueryFailed: It is wrong, is no SELECT or takes too long.
        sqlite3.Error: A file cannot be read, or is damaged.
    """
    days = sorted({table.day for files in models.values() for table in files.tables})
    notes = []
    if len(days) > MAX_FILES:
        notes.append(f"only the newest {MAX_FILES} days are in it: more take the extra analytics")
    names = {day: f"day{number}" for number, day in enumerate(days[-MAX_FILES:])}
    with closing(sqlite3.connect(":memory:", uri=True, timeout=_BUSY_SECONDS)) as db:
        paths = {table.day: table.path for files in models.values() for table in files.tables}
        for day, name in names.items():
            uri = f"file:{quote(str(paths[day].resolve()))}?mode=ro"
            db.execute(f"attach ? as {name}", (uri,))
        for model, files in models.items():
            _view(db, model, [one for one in files.tables if one.day in names], names)
        if ALL not in models:
            _view_of_all(db, list(models))
        db.execute("pragma query_only = 1")
        deadline = clock() + TIMEOUT_SECONDS
        db.set_progress_handler(lambda: int(clock() > deadline), _STEPS)
        db.set_authorizer(
            lambda action, *_: sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY
        )
        try:
            cursor = db.execute(statement)
            rows = cursor.fetchmany(limit + 1)
        except (sqlite3.Error, sqlite3.Warning) as error:
            if is_corrupt(error):
                raise
            if str(error) == "interrupted":
                raise QueryFailed(f"it takes longer than {TIMEOUT_SECONDS:g} s") from None
            if str(error) == "not authorized":
                raise QueryFailed("only a SELECT over the tables of models is allowed") from None
            raise QueryFailed(str(error)) from None
        if cursor.description is None:
            raise QueryFailed("only a SELECT is allowed")
        columns = [one[0] for one in cursor.description]
        return Answer(columns, rows[:limit], len(rows) > limit, notes)


def _view(
    db: sqlite3.Connection, model: str, tables: list[DayTable], names: Mapping[str, str]
) -> None:
    """All days of a model as one table; a column that a day has not got is empty there."""
    if not tables:
        return
    columns = {folded(name): name for table in reversed(tables) for name, _ in table.columns}
    columns.pop(NAMING, None)
    parts = []
    for table in tables:
        own = {folded(name) for name, _ in table.columns}
        chosen = [
            f"{f'p.{quoted(name)}' if one in own else 'null'} as {quoted(name)}"
            for one, name in columns.items()
        ]
        if DIGEST not in columns:
            text = model.replace("'", "''")
            digests = f'{names[table.day]}."{VERSIONS}"'
            chosen.append(
                f"(select digest from {digests} v where v.model = '{text}'"  # noqa: S608  quoted
                f" and v.version = p.version) as {DIGEST}"
            )
        source = f"{names[table.day]}.{quoted(model)} p"
        parts.append(f"select {', '.join(chosen)} from {source}")  # noqa: S608  quoted
    db.execute(f"create temp view {quoted(model)} as {' union all '.join(parts)}")


def _view_of_all(db: sqlite3.Connection, models: list[str]) -> None:
    columns = ", ".join(quoted(name) for name, _ in ALL_COLUMNS[1:])
    parts = []
    for model in models:
        text = model.replace("'", "''")
        parts.append(f"select '{text}' as model, {columns} from {quoted(model)}")  # noqa: S608  quoted
    if not parts:
        empty = ", ".join(f"null as {quoted(name)}" for name, _ in ALL_COLUMNS)
        parts.append(f"select {empty} where 0")
    db.execute(f"create temp view {ALL} as {' union all '.join(parts)}")
