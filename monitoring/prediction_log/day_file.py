"""One day of predictions: an SQLite file with a table per model.

Readers of any kind may have it open while it is written: it is in WAL mode. The accounts of
received frames are in the same file and the same transactions as the rows.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from . import naming
from .columns import FIXED, MAX_COLUMNS
from .naming import NAMINGS, folded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from .columns import Rows

#: Of the tables of ours; a model cannot be called so, for ``/`` does not occur in its name.
ACCOUNTS: Final = "penstock/ledger"
TOTALS: Final = "penstock/totals"
VERSIONS: Final = "penstock/versions"
INTERNAL: Final = "penstock/"

#: Of all versions of a model together; SQLite allows 2000.
MAX_TABLE_COLUMNS: Final = 1900
#: The same with the names of models, which may be others in each version: room is left for a sample
#: without them.
MAX_NAMED_COLUMNS: Final = MAX_TABLE_COLUMNS - MAX_COLUMNS

_BUSY_SECONDS: Final = 5.0
_CACHE_KIB: Final = 16_384
_PAGE_BYTES: Final = 4096
#: Of the write-ahead log, at most; more makes for fewer waits for the disk.
MAX_WAL_BYTES: Final = 16 << 20

_SCHEMA: Final = f"""
create table if not exists "{ACCOUNTS}" (
    epoch text, incarnation text, last integer, model text, version text, rows integer,
    primary key (epoch, incarnation, model, version)) without rowid;
create table if not exists "{TOTALS}" (
    epoch text, model text, version text, slot integer, rows integer,
    primary key (epoch, model, version, slot)) without rowid;
create table if not exists "{VERSIONS}" (
    model text, version integer, digest text, primary key (model, version)) without rowid;
create table if not exists "{NAMINGS}" (
    model text, number integer, naming text, primary key (model, number)) without rowid;
"""


class BadRows(ValueError):
    """These rows do not fit into their table, or a value in them is none of SQLite's."""


class DayFile:
    """A day file that is written; one thread.

    Args:
        path: Path of the file; made if it is not there.
        wal_bytes: The write-ahead log is emptied into the file when it has grown to this.

    Raises:
        sqlite3.Error: It cannot be opened, written or understood.
    """

    def __init__(self, path: Path, wal_bytes: int = MAX_WAL_BYTES) -> None:
        self.path = path
        self._max_wal_bytes = wal_bytes
        self._wal = path.with_name(path.name + "-wal")
        self._db = sqlite3.connect(
            path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = normal")
            self._db.execute(f"pragma cache_size = -{_CACHE_KIB}")
            self._db.execute(f"pragma wal_autocheckpoint = {max(1, wal_bytes // _PAGE_BYTES)}")
            self._db.executescript(_SCHEMA)
            tables = self._db.execute("select name from sqlite_master where type = 'table'")
            self._tables = {
                name: {
                    folded(column[1])
                    for column in self._db.execute(f"pragma table_info({quoted(name)})")
                }
                for (name,) in tables.fetchall()
            }
            namings = self._db.execute(f'select model, number from "{NAMINGS}"')  # noqa: S608  a constant
            self._namings: set[tuple[str, int]] = set(namings.fetchall())
        except BaseException:
            self._db.close()
            raise
        self._statements: dict[Any, str] = {}

    def has_room(self, model: str, rows: Rows) -> bool:
        """Whether the table may have columns for these rows by the names that they have."""
        if not rows.naming:
            return True
        columns = self._tables.get(model, set()) | {folded(name) for name, _ in rows.columns}
        known = (model, naming.number_of(rows.naming)) in self._namings
        return len(columns) <= MAX_NAMED_COLUMNS and (
            known or len(self._namings) < naming.MAX_NAMINGS
        )

    def insert(self, model: str, rows: Rows) -> None:
        """Add rows to the open transaction, which begins with the first; all of them, or none.

        Raises:
            BadRows: They were not added; what is in the open transaction stays.
            sqlite3.Error: Whatever is in the open transaction is lost.
        """
        key = model, tuple(rows.columns)
        statement = self._statements.get(key)
        if statement is None:
            self._prepare(model, rows.columns)
            columns = ", ".join(quoted(name) for name, _ in (*FIXED, *rows.columns))
            marks = ", ".join("?" * (len(FIXED) + len(rows.columns)))
            statement = f"insert into {quoted(model)} ({columns}) values ({marks})"  # noqa: S608  quoted
            if len(self._statements) > 1000:  # noqa: PLR2004  shapes are a client's to choose
                self._statements.clear()
            self._statements[key] = statement
        self._begin()
        if rows.naming:
            self._name(model, rows.naming)
        self._db.execute("savepoint rows")
        try:
            self._db.executemany(statement, rows.values)
        except (
            ValueError,
            TypeError,
            OverflowError,
            sqlite3.ProgrammingError,
            sqlite3.InterfaceError,
        ) as error:
            self._db.execute("rollback to rows")
            raise BadRows(f"rows of {model} cannot be written: {error}") from error
        finally:
            if self._db.in_transaction:
                self._db.execute("release rows")

    def keep(self, epoch: str, entries: Iterable[tuple[str, int, str, str, int]]) -> None:
        """Put accounts of received frames into the open transaction.

        Args:
            epoch: Epoch of the server.
            entries: Incarnation, last frame, model, version, rows received.
        """
        self._begin()
        self._db.executemany(
            f'insert or replace into "{ACCOUNTS}" values (?, ?, ?, ?, ?, ?)',  # noqa: S608  a constant
            [(epoch, *entry) for entry in entries],
        )

    def keep_totals(self, epoch: str, totals: Mapping[tuple[str, str, int], int]) -> None:
        """Put totals, by model, version and counter slot, into the open transaction."""
        self._begin()
        self._db.executemany(
            f'insert or replace into "{TOTALS}" values (?, ?, ?, ?, ?)',  # noqa: S608  a constant
            [(epoch, *labels, rows) for labels, rows in totals.items()],
        )

    def name_version(self, model: str, version: str, digest: str) -> None:
        """Write which files a version has."""
        self._begin()
        self._db.execute(
            f'insert or replace into "{VERSIONS}" values (?, ?, ?)',  # noqa: S608  a constant
            (model, version, digest),
        )

    def commit(self) -> None:
        """End the open transaction, if there is one."""
        if self._db.in_transaction:
            self._db.execute("commit")
            if self.wal_bytes > 2 * self._max_wal_bytes:  # a long transaction made it so
                with suppress(sqlite3.Error):  # what was to be committed is, whatever this says
                    self._db.execute("pragma wal_checkpoint(truncate)")

    def read_accounts(self, epoch: str) -> list[tuple[str, int, str, str, int]]:
        """What `keep` wrote in this epoch."""
        return self._db.execute(
            f'select incarnation, last, model, version, rows from "{ACCOUNTS}" where epoch = ?',  # noqa: S608  a constant
            (epoch,),
        ).fetchall()

    def read_totals(self, epoch: str) -> dict[tuple[str, str, int], int]:
        """What `keep_totals` wrote in this epoch."""
        found = self._db.execute(
            f'select model, version, slot, rows from "{TOTALS}" where epoch = ?',  # noqa: S608  a constant
            (epoch,),
        )
        return {(model, version, slot): rows for model, version, slot, rows in found}

    @property
    def wal_bytes(self) -> int:
        """Size of the write-ahead log beside the file."""
        try:
            return self._wal.stat().st_size
        except OSError:
            return 0

    def abandon(self) -> None:
        """Close without writing anything more."""
        with suppress(sqlite3.Error):  # it is being left because it is broken
            if self._db.in_transaction:
                self._db.execute("rollback")
            self._db.close()

    def close(self) -> None:
        """Empty the write-ahead log into the file and close it.

        Raises:
            sqlite3.Error: That failed; what was committed is still there.
        """
        try:
            self._db.execute("pragma wal_checkpoint(truncate)")
        finally:
            self._db.close()

    def _begin(self) -> None:
        if not self._db.in_transaction:
            self._db.execute("begin immediate")

    def _name(self, model: str, own: naming.Naming) -> None:
        """Keep the naming of rows: without it nobody could tell which of them to erase."""
        key = model, naming.number_of(own)
        if key in self._namings:
            return
        if len(self._namings) >= naming.MAX_NAMINGS:
            raise BadRows(f"there were {naming.MAX_NAMINGS} namings of columns today, the most")
        naming.keep(self._db, model, own)
        self._namings.add(key)

    def _prepare(self, model: str, columns: Iterable[tuple[str, str]]) -> None:
        """Make the table, or the columns that it has not got yet."""
        self._begin()
        known = self._tables.get(model)
        table = quoted(model)
        if known is None:
            fixed = ", ".join(f"{quoted(name)} {kind}" for name, kind in FIXED)
            self._db.execute(f"create table {table} ({fixed})")
            for name in ("request_id", "time"):
                index = quoted(f"{model}/{name}")
                self._db.execute(f"create index {index} on {table} ({name})")
            known = self._tables[model] = {name for name, _ in FIXED}
        if len(known | {folded(name) for name, _ in columns}) > MAX_TABLE_COLUMNS:
            raise BadRows(f"{model} has had more than {MAX_TABLE_COLUMNS} columns today")
        for name, kind in columns:
            if folded(name) not in known:
                self._db.execute(f"alter table {table} add column {quoted(name)} {kind}")
                known.add(folded(name))


def quoted(name: str) -> str:
    """A name as SQL takes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'
