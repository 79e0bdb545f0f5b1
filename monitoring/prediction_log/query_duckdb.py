"""Queries with DuckDB: over Parquet as it is, and over day files by the columns that are asked for.

DuckDB cannot read SQLite without an extension from the network, so what a query names of a day
file is copied into memory first.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.distribution import install_command
from penstock.monitoring.offline_duckdb import connect

from .answer import ALL, ALL_COLUMNS, TIMEOUT_SECONDS, Answer, QueryFailed
from .day_file import quoted
from .naming import NAMING
from .reader import DIGEST, chunks, declared, insert

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .catalog import ModelFiles

#: In memory, for the copies and the answer.
MEMORY: Final = "1GB"
_COUNT: Final = re.compile(r"count\s*\(\s*\*\s*\)", re.IGNORECASE)
_WORD: Final = re.compile(r'"((?:[^"]|"")*)"|([^\W\d]\w*)')


def run(models: Mapping[str, ModelFiles], statement: str, limit: int, parquet: Path) -> Answer:
    """Answer one SELECT.

    Args:
        models: Files of each model.
        statement: SQL statement.
        limit: Most rows of the answer.
        parquet: Directory of the sealed days.

    Raises:
        QueryFailed: It is wrong, is no SELECT or takes too long, or DuckDB is not installed.
        sqlite3.OperationalError: A day file cannot be read.
    """
    try:
        import duckdb  # an extra, and large
    except ImportError:
        raise QueryFailed(f"DuckDB is not installed; run: {install_command('analytics')}") from None
    named = words(statement)
    try:
        _check(duckdb, statement)
        with connect(memory_limit=MEMORY) as db:
            for number, (model, files) in enumerate(models.items()):
                if model in named.names or ALL in named.names or named.everything:
                    _view(db, number, model, files, named)
            if ALL not in models:
                _view_of_all(db, [one for one in models if ALL in named.names])
            db.execute(f"set allowed_directories = ['{_text(str(parquet.resolve()))}']")
            db.execute("set enable_external_access = false")
            db.execute("set lock_configuration = true")
            timer = threading.Timer(TIMEOUT_SECONDS, db.interrupt)
            timer.start()
            try:
                cursor = db.execute(statement)
                columns = [one[0] for one in cursor.description or ()]
                rows = cursor.fetchmany(limit + 1)
            finally:
                timer.cancel()
    except duckdb.InterruptException:
        raise QueryFailed(f"it takes longer than {TIMEOUT_SECONDS:g} s") from None
    except duckdb.Error as error:
        raise QueryFailed(str(error)) from None
    return Answer(columns, rows[:limit], len(rows) > limit, ())


class Words:
    """What a statement names.

    Attributes:
        names: Everything that may be the name of a table or a column, as written.
        lower: The same in lower case.
        everything: Whether it asks for all columns.
    """

    def __init__(self, names: frozenset[str], *, everything: bool) -> None:
        self.names = names
        self.lower = frozenset(map(str.lower, names))
        self.everything = everything


def words(statement: str) -> Words:
    """The words of a statement; too many rather than too few."""
    found = _WORD.findall(statement)
    names = frozenset(quoted_name.replace('""', '"') or plain for quoted_name, plain in found)
    return Words(names, everything="*" in _COUNT.sub("", statement))


def _check(duckdb: Any, statement: str) -> None:
    statements = duckdb.extract_statements(statement)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise QueryFailed("only a single SELECT is allowed")


def _view(db: Any, number: int, model: str, files: ModelFiles, named: Words) -> None:
    """All days of a model as one table."""
    fixed = {name for name, _ in ALL_COLUMNS} if ALL in named.names else set()
    parts = []
    if files.parts:
        listed = ", ".join(f"'{_text(str(path.resolve()))}'" for path in files.parts)
        options = "union_by_name = true, hive_partitioning = false"
        source = f"select * from read_parquet([{listed}], {options})"  # noqa: S608  quoted
        none = f"select null::bigint as {NAMING} where false"  # so that there is one to leave out
        parts.append(f"select * exclude ({NAMING}) from ({source} union all by name {none})")  # noqa: S608  quoted
    for index, table in enumerate(files.tables):
        name = f"day_{number}_{index}"
        all_of_it = (*table.columns, (DIGEST, "TEXT"))
        columns = [
            (column, kind)
            for column, kind in dict(all_of_it).items()
            if column != NAMING
            and (named.everything or column.lower() in named.lower or column in fixed)
        ] or [("time", "REAL")]
        kinds = declared(columns)
        db.execute(f"create table {name} ({kinds})")
        for chunk in chunks(model, table, columns):
            insert(db, name, columns, chunk)
        parts.append(f"select * from {name}")  # noqa: S608  our name
    if parts:
        together = " union all by name ".join(parts)
        db.execute(f"create view {quoted(model)} as {together}")


def _view_of_all(db: Any, models: list[str]) -> None:
    columns = ", ".join(quoted(name) for name, _ in ALL_COLUMNS[1:])
    parts = [
        f"select '{_text(model)}' as model, {columns} from {quoted(model)}"  # noqa: S608  quoted
        for model in models
    ]
    if not parts:
        empty = ", ".join(f"null as {quoted(name)}" for name, _ in ALL_COLUMNS)
        parts = [f"select {empty} where false"]
    db.execute(f"create view {ALL} as {' union all '.join(parts)}")


def _text(value: str) -> str:
    return value.replace("'", "''")
