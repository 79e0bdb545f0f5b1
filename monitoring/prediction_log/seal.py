"""Turns a day file into Parquet, as a process of its own.

Usage: ``python -m penstock.monitoring.prediction_log.seal STATE DAY MAX_BYTES``.

Run by the monitor as a process of its own, at the lowest priority. What is written appears at once
when it is complete; the day file goes last, and readers prefer it for as long as it is there. So it
may be killed at any time, and is begun anew.
"""

from __future__ import annotations

import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.databases import is_damage
from penstock.monitoring.files.atomic_file import sync
from penstock.monitoring.offline_duckdb import connect

from . import naming
from .catalog import partition_path, read_only, tables_of
from .log_directory import LogDirectory
from .reader import DIGEST, chunks, declared, insert

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .catalog import DayTable

#: Rows of a file; what is sealed is held in memory for so long.
PART_ROWS: Final = 500_000
#: Bytes of a value in memory, roughly, to know when a file is large enough.
_PART_CELLS: Final = 20_000_000
EXIT_NO_ROOM: Final = 3
EXIT_DAMAGED: Final = 4
EXIT_ERASING: Final = 5
#: A day is read anew so often when rows are erased meanwhile.
ATTEMPTS: Final = 5


class Erasing(Exception):
    """Rows were erased again and again meanwhile; another time."""


class NoRoom(Exception):
    """The prediction log would grow over its limit."""


def seal(state: Path, day: str, max_bytes: int) -> int:
    """Seal a day; returns how many rows it had.

    Args:
        state: ``state_dir/monitor``.
        day: As ``2026-11-20``; not the present one.
        max_bytes: Of the prediction log.

    Raises:
        NoRoom: Not before older days are gone.
        Erasing: Not while so much is erased.
        sqlite3.Error: The day file cannot be read.
    """
    directory = LogDirectory(state)
    draft = directory.parquet / f".sealing-{day}"
    try:
        for _ in range(ATTEMPTS):
            with directory.locked():  # none is under way when the rows are read
                erasures = directory.erasures()
            shutil.rmtree(draft, ignore_errors=True)
            models, rows = _draft(directory, day, draft, max_bytes)
            with directory.locked():
                # What was erased since the rows were read is in the draft still.
                if directory.erasures() == erasures:
                    _put(directory, day, draft, models)
                    return rows
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    raise Erasing(f"rows were erased {ATTEMPTS} times while {day} was sealed")


def _draft(directory: LogDirectory, day: str, draft: Path, max_bytes: int) -> tuple[list[str], int]:
    """Write all rows of a day; returns its models and how many rows."""
    tables = tables_of(day, directory.day_file(day))
    rows = 0
    for model, table in tables.items():
        place = partition_path(draft, model, day)
        place.mkdir(mode=0o700, parents=True)
        rows += _write(directory, model, table, place, max_bytes)
        with closing(read_only(table.path)) as db:
            naming.write_file(place, naming.read(db, model))
    return list(tables), rows


def _put(directory: LogDirectory, day: str, draft: Path, models: Sequence[str]) -> None:
    """Put what was written into its place, and remove the day file."""
    for model in models:
        target = partition_path(directory.parquet, model, day)
        target.parent.mkdir(mode=0o700, exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)  # of an earlier attempt
        partition_path(draft, model, day).rename(target)
        sync(target.parent)
    directory.parquet.mkdir(mode=0o700, exist_ok=True)
    sync(directory.parquet)
    path = directory.day_file(day)
    for one in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        one.unlink(missing_ok=True)


def _write(
    directory: LogDirectory, model: str, table: DayTable, place: Path, max_bytes: int
) -> int:
    columns = list(table.columns)
    if not any(name == DIGEST for name, _ in columns):
        columns.append((DIGEST, "TEXT"))
    limit = min(PART_ROWS, _PART_CELLS // len(columns))
    total = gathered = part = 0
    with connect(threads="1") as db:
        db.execute(f"create table part ({declared(columns)})")

        def flush() -> None:
            nonlocal gathered, part
            file = place / f"part-{part:04d}.parquet"
            # A file of Parquet is never larger than the values in it, but for its frame.
            if directory.used_bytes() + gathered * len(columns) * 10 > max_bytes:
                raise NoRoom
            db.execute(f"copy part to '{_quoted(file)}' (format parquet, compression zstd)")
            sync(file)
            db.execute("truncate part")
            gathered, part = 0, part + 1

        for chunk in chunks(model, table, columns, "order by p.rowid"):
            insert(db, "part", columns, chunk)
            count = len(next(iter(chunk.values())))
            total, gathered = total + count, gathered + count
            if gathered >= limit:
                flush()
        if gathered or not part:
            flush()
    return total


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def main(arguments: list[Any]) -> int:
    """Seal a day; returns the exit status."""
    state, day, max_bytes = arguments
    try:
        seal(Path(state), day, int(max_bytes))
    except NoRoom:
        return EXIT_NO_ROOM
    except Erasing:
        return EXIT_ERASING
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
        directory = LogDirectory(Path(state))
        directory.move_aside(directory.day_file(day), error)
        return EXIT_DAMAGED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
