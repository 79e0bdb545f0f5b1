"""Erases the stored data of some requests, as a process of its own.

Usage: ``python -m penstock.monitoring.prediction_log.erase STATE`` < JSON.

The values to look for come on the standard input, where no list of processes shows them. Day files
are changed in place and their free pages overwritten; of Parquet the files concerned are written
anew. Labels of the requests go, too.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.databases import asides, remove_aside
from penstock.monitoring.distribution import install_command
from penstock.monitoring.files.atomic_file import drafted
from penstock.monitoring.offline_duckdb import connect

from . import naming
from .catalog import catalog
from .day_file import quoted
from .log_directory import LogDirectory

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .catalog import DayTable

#: Below ``state_dir/monitor``; `penstock.monitoring.feedback.schema` has its tables.
FEEDBACK_FILE: Final = "truth.db"
_BUSY_SECONDS: Final = 30.0
#: Of a statement's variables.
_AT_ONCE: Final = 500


@dataclass(slots=True)
class Erased:
    """What was erased.

    Attributes:
        rows: Rows of the prediction log.
        files: That had some.
        labels: Of those requests.
        without: Files in which the model has no such column.
    """

    rows: int = 0
    files: int = 0
    labels: int = 0
    without: int = 0


def erase(state: Path, model: str, column: str, values: Sequence[str]) -> Erased:
    """Erase the rows of a model that have one of these values in a column.

    Args:
        state: ``state_dir/monitor``.
        model: Name of the model.
        column: Such as ``request_id``, or the field that is the subject.
        values: As text; numbers as SQL writes them.

    Raises:
        sqlite3.Error: A day file cannot be read or written.
        ImportError: There are sealed days, and DuckDB is not installed.
    """
    directory = LogDirectory(state)
    if not directory.log.is_dir():
        return Erased()
    with directory.locked():
        directory.count_erasure()
        return _erase(state, directory, model, column, values)


def _erase(
    state: Path, directory: LogDirectory, model: str, column: str, values: Sequence[str]
) -> Erased:
    erased = Erased()
    for damaged in asides(directory.log, state):
        remove_aside(damaged)  # nobody can tell what is in it
    models, _ = catalog(directory)
    files = models.get(model)
    if files is None:
        return erased
    requests: set[str] = set()
    for table in files.tables:
        _add(erased, requests, _in_day_file(table, model, column, values))
    for part in files.parts:
        _add(erased, requests, _in_parquet(part, column, values))
    erased.labels = _labels(state / FEEDBACK_FILE, requests)
    return erased


def _add(erased: Erased, requests: set[str], found: list[str] | None) -> None:
    if found is None:
        erased.without += 1
    elif found:
        erased.rows += len(found)
        erased.files += 1
        requests.update(found)


def _in_day_file(
    table: DayTable, model: str, column: str, values: Sequence[str]
) -> list[str] | None:
    """Request ids of the rows that are gone; ``None`` if there is no such column."""
    names = [name for name, _ in table.columns]
    with closing(sqlite3.connect(table.path, timeout=_BUSY_SECONDS, isolation_level=None)) as db:
        where, count = _condition(column, names, naming.read(db, model), len(values))
        if not where:
            return None
        db.execute("pragma secure_delete = 1")
        db.execute("begin immediate")
        statement = f"delete from {quoted(model)} where {where} returning request_id"  # noqa: S608  quoted
        gone = [one for (one,) in db.execute(statement, [*values] * count).fetchall()]
        db.execute("commit")
        db.execute("pragma wal_checkpoint(truncate)")
    return gone


def _condition(
    column: str, names: Sequence[str], namings: Mapping[int, naming.Naming], count: int
) -> tuple[str, int]:
    """Which rows go, in SQL, and how often it takes the values; empty without such a column.

    Args:
        column: A fixed one, or an input of one element by its own name.
        names: Columns of the table.
        namings: Of its rows.
        count: Number of values.
    """
    marks = ", ".join("?" * count)
    if column == "request_id":
        return f"request_id in ({marks})", 1  # uses the index
    known = {naming.folded(name) for name in names}
    parts = []
    if naming.folded(column) in known:
        plain = f"{naming.NAMING} is null and " if naming.NAMING in known else ""
        parts.append(f"({plain}cast({quoted(column)} as varchar) in ({marks}))")
    for number, own in namings.items():
        if place := own.get(column.lower()):
            values = f"cast({quoted(place)} as varchar) in ({marks})"
            parts.append(f"({naming.NAMING} = {number:d} and {values})")
    return " or ".join(parts), len(parts)


def _in_parquet(part: Path, column: str, values: Sequence[str]) -> list[str] | None:
    source = f"read_parquet('{_text(part)}', hive_partitioning = false)"
    namings = naming.read_file(part.parent)
    with connect(threads="1") as db:
        described = db.execute(f"describe select * from {source}").fetchall()  # noqa: S608  quoted
        found, count = _condition(column, [one[0] for one in described], namings, len(values))
        if not found:
            return None
        where, values = f"coalesce({found}, false)", [*values] * count
        gone = db.execute(f"select request_id from {source} where {where}", values).fetchall()  # noqa: S608  quoted
        if gone:
            rest = f"select * from {source} where not {where}"  # noqa: S608  quoted
            options = "format parquet, compression zstd"
            with drafted(part) as draft:
                db.execute(f"copy ({rest}) to '{_text(draft)}' ({options})", values)
    return [one for (one,) in gone]


def _labels(path: Path, requests: Iterable[str]) -> int:
    """How many labels of these requests are gone."""
    wanted = sorted(requests)
    if not wanted or not path.exists():
        return 0
    gone = 0
    with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)) as db:
        db.execute("pragma secure_delete = 1")
        for first in range(0, len(wanted), _AT_ONCE):
            some = wanted[first : first + _AT_ONCE]
            marks = ", ".join("?" * len(some))
            db.execute("begin immediate")
            for table in ("labels", "history"):
                cursor = db.execute(f"delete from {table} where request_id in ({marks})", some)  # noqa: S608  constants
                gone += cursor.rowcount
            db.execute("commit")
    return gone


def _text(path: Path) -> str:
    return str(path).replace("'", "''")


def main(arguments: Sequence[str], wanted: dict[str, Any]) -> int:
    """Erase; prints what was erased as JSON and returns the exit status."""
    try:
        erased = erase(Path(arguments[0]), wanted["model"], wanted["column"], wanted["values"])
    except (sqlite3.Error, OSError) as error:
        sys.stdout.write(json.dumps({"error": str(error)}))
    except ImportError:
        reason = "there are sealed days, and DuckDB is not installed; run: " + install_command(
            "analytics"
        )
        sys.stdout.write(json.dumps({"error": reason}))
    else:
        sys.stdout.write(json.dumps(asdict(erased)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], json.load(sys.stdin)))
