"""The catalog of the prediction log: the files with rows of each model."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from penstock.monitoring.databases import is_corrupt

from .day_file import INTERNAL, quoted
from .naming import NAMING, NAMINGS_FILE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from .log_directory import LogDirectory

#: Parquet files of a day and model, ``part-0000.parquet`` and so on.
PARTS: Final = "part-*.parquet"
_BUSY_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class DayTable:
    """A model's table in a day file.

    Attributes:
        day: As ``2026-11-20``.
        path: Path of the file.
        columns: Name and type of SQL of each, in order.
    """

    day: str
    path: Path
    columns: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class ModelFiles:
    """The files with rows of one model.

    Attributes:
        tables: In day files, the oldest first.
        parts: Parquet files of sealed days, the oldest first.
    """

    tables: list[DayTable] = field(default_factory=list)
    parts: list[Path] = field(default_factory=list)

    @property
    def partly_named(self) -> bool:
        """Whether some of them have columns with the model's names, and some have none."""
        named = {(NAMING in (name for name, _ in one.columns)) for one in self.tables}
        named |= {(one.parent / NAMINGS_FILE).exists() for one in self.parts}
        return len(named) > 1


def read_only(path: Path) -> sqlite3.Connection:
    """A day file, opened so that nothing can be changed.

    Raises:
        sqlite3.Error: It cannot be opened.
    """
    uri = f"file:{quote(str(path.resolve()))}?mode=ro"
    db = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
    try:
        db.execute("pragma query_only = 1")
    except sqlite3.Error:
        db.close()
        raise
    return db


def tables_of(day: str, path: Path) -> dict[str, DayTable]:
    """The models of a day file.

    Raises:
        sqlite3.Error: It cannot be read.
    """
    found = {}
    with closing(read_only(path)) as db:
        names = db.execute("select name from sqlite_master where type = 'table' order by name")
        for (name,) in names.fetchall():
            if not name.startswith((INTERNAL, "sqlite_")):
                columns = db.execute(f"pragma table_info({quoted(name)})").fetchall()
                found[name] = DayTable(day, path, tuple((one[1], one[2]) for one in columns))
    return found


def catalog(directory: LogDirectory) -> tuple[dict[str, ModelFiles], list[str]]:
    """All models that have rows, and what could not be read.

    A day whose file is still there is read from it, although it may have been sealed in part.
    """
    models: dict[str, ModelFiles] = {}
    notes: list[str] = []
    days = directory.day_files()
    for day, path in days.items():
        try:
            for model, table in tables_of(day, path).items():
                models.setdefault(model, ModelFiles()).tables.append(table)
        except sqlite3.Error as error:
            notes.append(f"{path.name} cannot be read and was left out: {error}")
    for day, partitions in directory.partitions().items():
        if day not in days:
            for partition in partitions:
                model = model_of(partition)
                parts = sorted(partition.glob(PARTS))
                models.setdefault(model, ModelFiles()).parts.extend(parts)
    return dict(sorted(models.items())), notes


def damaged_days(models: Mapping[str, ModelFiles]) -> set[Path]:
    """The day files that are damaged: each is read through, which may take long."""
    found = set()
    for path in {table.path for files in models.values() for table in files.tables}:
        try:
            with closing(read_only(path)) as db:
                sound = db.execute("pragma quick_check(1)").fetchone() == ("ok",)
        except sqlite3.Error as error:
            sound = not is_corrupt(error)
        if not sound:
            found.add(path)
    return found


def leave_out(models: Mapping[str, ModelFiles], paths: Collection[Path]) -> list[str]:
    """Take day files out of a catalog; returns what to tell of it."""
    for files in models.values():
        files.tables = [table for table in files.tables if table.path not in paths]
    return [f"{path.name} is damaged and was left out" for path in sorted(paths)]


def partition_path(root: Path, model: str, day: str) -> Path:
    """The directory of a model's sealed day: ``model=<model>/dt=<day>``."""
    return root / f"model={quote(model, safe='')}" / f"dt={day}"


def model_of(partition: Path) -> str:
    """The reverse of `partition_path`."""
    return unquote(partition.parent.name.removeprefix("model="))
