"""Rows of a day file as columns of numpy, a chunk at a time, for DuckDB to take."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .catalog import read_only
from .day_file import VERSIONS, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from .catalog import DayTable

CHUNK_ROWS: Final = 50_000
#: The column that comes from the table of versions.
DIGEST: Final = "digest"
_NUMBERS: Final = frozenset({"REAL", "INTEGER"})

_DUCK_TYPES: Final = {"REAL": "DOUBLE", "INTEGER": "BIGINT", "TEXT": "VARCHAR", "BLOB": "BLOB"}


def chunks(
    model: str, table: DayTable, columns: Sequence[tuple[str, str]], where: str = ""
) -> Iterator[dict[str, Any]]:
    """Columns by name; `digest` may be among them although the table has no such column.

    Raises:
        sqlite3.Error: The file cannot be read.
    """
    own = {name for name, _ in table.columns}
    chosen = [
        f"v.{DIGEST}" if name == DIGEST and name not in own else f"p.{quoted(name)}"
        for name, _ in columns
    ]
    join = ""
    if any(name == DIGEST and name not in own for name, _ in columns):
        # With the model spelt out: a left join on all of a small table's key.
        join = f'left join "{VERSIONS}" v on v.model = ? and v.version = p.version'
    statement = f"select {', '.join(chosen)} from {quoted(model)} p {join} {where}"  # noqa: S608  quoted
    with closing(read_only(table.path)) as db:
        cursor = db.execute(statement, (model,) if join else ())
        while rows := cursor.fetchmany(CHUNK_ROWS):
            yield {
                name: _column(values, kind)
                for (name, kind), values in zip(columns, zip(*rows, strict=True), strict=True)
            }


def declared(columns: Iterable[tuple[str, str]]) -> str:
    """Columns of SQLite as DuckDB declares them."""
    return ", ".join(f"{quoted(name)} {_DUCK_TYPES.get(kind, 'VARCHAR')}" for name, kind in columns)


def insert(
    db: Any, table: str, columns: Iterable[tuple[str, str]], chunk: Mapping[str, Any]
) -> None:
    """Put a chunk into a table of DuckDB, whose column of numbers becomes text if it has texts.

    SQLite keeps a text in a column of numbers: versions may give one name to different types.

    Args:
        db: Connection of DuckDB.
        table: Name of the table, which is ours.
        columns: Of the table, as `declared` made it.
        chunk: One that `chunks` gave.
    """
    for name, kind in columns:
        if kind in _NUMBERS and chunk[name].dtype == object:
            db.execute(f"alter table {table} alter {quoted(name)} type varchar")
    db.register("chunk", chunk)
    db.execute(f"insert into {table} select * from chunk")  # noqa: S608  our name
    db.unregister("chunk")


def _column(values: Sequence[Any], kind: str) -> Any:
    """An array, masked where there is nothing."""
    if kind in _NUMBERS:
        dtype = np.float64 if kind == "REAL" else np.int64
        try:
            missing = [value is None for value in values]
            if not any(missing):
                return np.array(values, dtype)
            filled = [0 if value is None else value for value in values]
            return np.ma.masked_array(np.array(filled, dtype), missing)
        except (ValueError, TypeError, OverflowError):
            values = [None if value is None else str(value) for value in values]
    column = np.empty(len(values), dtype=object)
    if kind == "BLOB":
        column[:] = [
            value if value is None or isinstance(value, bytes) else str(value).encode()
            for value in values
        ]
    else:
        column[:] = [
            value.decode(errors="replace") if isinstance(value, bytes) else value
            for value in values
        ]
    return column
