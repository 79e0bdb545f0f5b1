"""A search over the prediction log as one SELECT, which SQLite and DuckDB both understand."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from penstock.monitoring.offline_duckdb import connect

from .answer import QueryFailed
from .catalog import catalog
from .day_file import quoted
from .log_directory import LogDirectory
from .naming import NAMING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: What a value may be compared by.
OPERATORS: Final = ("=", "!=", "<", "<=", ">", ">=", "contains")
_WHOLE: Final = 1 << 63
_NUMBERS: Final = frozenset({"REAL", "INTEGER", "DOUBLE", "BIGINT", "FLOAT", "HUGEINT"})


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for; what is empty or 0 is not asked for.

    Attributes:
        model: Name of the model.
        request_id: As ``x-request-id`` had it.
        since: The earliest time, Unix seconds.
        until: The latest time, Unix seconds.
        version: Number of the version.
        arm: Arm of the rollout.
        column: A column of the model's table.
        operator: One of `OPERATORS`.
        value: Value that the column is compared with.
        limit: Most rows, the newest.
    """

    model: str
    request_id: str = ""
    since: float = 0.0
    until: float = 0.0
    version: int = 0
    arm: str = ""
    column: str = ""
    operator: str = "="
    value: str = ""
    limit: int = 100


def search_statement(search: Search, kinds: Mapping[str, str]) -> str:
    """The SELECT.

    Args:
        search: Conditions of the search.
        kinds: Type of each column of the model's table, as `column_kinds` gives them.

    Raises:
        QueryFailed: There is no such column, operator or table.
    """
    if not kinds:
        raise QueryFailed(f"the log has no prediction of model {search.model!r}")
    found = []
    if search.request_id:
        found.append(f"p.request_id = {_text(search.request_id)}")
    if search.since:
        found.append(f"p.time >= {search.since!r}")
    if search.until:
        found.append(f"p.time <= {search.until!r}")
    if search.version:
        found.append(f"p.version = {int(search.version)}")
    if search.arm:
        found.append(f"p.arm = {_text(search.arm)}")
    if search.column:
        found.append(_comparison(search, kinds))
    where = f" where {' and '.join(found)}" if found else ""
    table = quoted(search.model)
    return f"select * from {table} p{where} order by p.time desc limit {int(search.limit)}"  # noqa: S608  quoted


def _comparison(search: Search, kinds: Mapping[str, str]) -> str:
    """The condition on a value: a number where the column and the value are, else a text."""
    names = {name.lower(): name for name in kinds}
    name = names.get(search.column.lower())
    if name is None:
        known = ", ".join(list(kinds)[:50])
        raise QueryFailed(f"there is no column {search.column[:80]!r}; there are {known}")
    if search.operator not in OPERATORS:
        raise QueryFailed(f"there is no comparison {search.operator[:20]!r}: {' '.join(OPERATORS)}")
    column = f"p.{quoted(name)}"
    number = _number(search.value)
    if search.operator == "contains":
        return f"instr(cast({column} as varchar), {_text(search.value)}) > 0"
    if number is not None and kinds[name] in _NUMBERS:
        return f"{column} {search.operator} {number!r}"
    return f"cast({column} as varchar) {search.operator} {_text(search.value)}"


def column_kinds(state: Path, model: str) -> dict[str, str]:
    """The columns of a model's table and their types of SQL; of another type each day, text.

    Args:
        state: ``state_dir/monitor``.
        model: Name of the model.

    Returns:
        Empty if the log has no row of the model that can be read here.
    """
    files = catalog(LogDirectory(state))[0].get(model)
    if files is None:
        return {}
    kinds: dict[str, str] = {}
    every = [dict(one.columns) for one in files.tables]
    if files.parts:
        with suppress(ImportError):  # sealed days are left out of the answer, too
            every.append(_of_parquet(files.parts))
    for columns in every:
        for name, kind in columns.items():
            same = kinds.setdefault(name, kind)
            if (same in _NUMBERS) != (kind in _NUMBERS):
                kinds[name] = "TEXT"
    kinds.pop(NAMING, None)
    return kinds


def _of_parquet(parts: list[Path]) -> dict[str, str]:
    with connect() as db:
        options = "union_by_name = true, hive_partitioning = false"
        rows = db.execute(
            f"describe select * from read_parquet(?, {options})",  # noqa: S608  constant
            [[str(path) for path in parts]],
        ).fetchall()
    return {str(name): str(kind) for name, kind, *_ in rows}


def _number(text: str) -> float | None:
    """The number that a text is; a whole one of 64 bits exactly, as an id may have 19 digits."""
    try:
        number = float(text)
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    with suppress(ValueError):
        whole = int(text)
        return whole if -_WHOLE <= whole < _WHOLE else number
    return number


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
