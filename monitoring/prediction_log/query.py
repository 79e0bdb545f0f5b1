"""``penstock query``: one SELECT over the prediction log, while it is written.

Each model is a table of its own; ``predictions`` has the fixed columns of all. With DuckDB sealed
days are in it; without, the day files alone.
"""

from __future__ import annotations

import sqlite3
from importlib.util import find_spec
from typing import TYPE_CHECKING

from penstock.monitoring.databases import is_corrupt

from . import query_duckdb, query_sqlite
from .answer import Answer, QueryFailed
from .catalog import catalog, damaged_days, leave_out
from .log_directory import LogDirectory

if TYPE_CHECKING:
    from pathlib import Path


def query(state: Path, statement: str, limit: int, engine: str = "auto") -> Answer:
    """Answer one SELECT.

    Args:
        state: ``state_dir/monitor``.
        statement: SQL statement.
        limit: Most rows of the answer.
        engine: ``duckdb``, ``sqlite``, or ``auto``: DuckDB if there are sealed days and it is
            installed.

    Raises:
        QueryFailed: It is no single SELECT, is wrong, takes too long, or the files cannot be read.
    """
    directory = LogDirectory(state)
    last: Exception | None = None
    damaged: set[Path] = set()
    for _ in range(3):  # a day file may be sealed between a look and its opening, or be damaged
        models, notes = catalog(directory)
        notes += leave_out(models, damaged)
        notes += [
            f"some days of {model} have numbered columns, such as name_0: they are of an earlier "
            "release, which did not log the model's names"
            for model, files in models.items()
            if model in statement and files.partly_named
        ]
        sealed = any(files.parts for files in models.values())
        chosen = engine
        if engine == "auto":
            chosen = "duckdb" if sealed and find_spec("duckdb") is not None else "sqlite"
        try:
            if chosen == "duckdb":
                answer = query_duckdb.run(models, statement, limit, directory.parquet)
            else:
                if sealed:
                    notes.append("sealed days are left out: that takes the extra analytics")
                answer = query_sqlite.run(models, statement, limit)
        except (sqlite3.Error, FileNotFoundError) as error:
            last = error
            if is_corrupt(error):
                damaged |= damaged_days(models)
        else:
            return Answer(answer.columns, answer.rows, answer.more, (*notes, *answer.notes))
    raise QueryFailed(str(last))
