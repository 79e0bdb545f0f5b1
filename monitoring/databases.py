"""Damaged database files: how they are recognised and set aside.

A file that is damaged is renamed, ``windows.db.damaged-20261129T181500Z``, and its owner
begins a new one. A file that is only busy, full, read-only or away is not damaged: that passes, and
its content is still needed.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import sqlite3
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import msgpack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LOG = logging.getLogger("penstock.monitor")

#: Damaged files of one kind that stay for an operator to look at; the newest.
KEEP: Final = 3
#: Larger files are not read through when they are opened: that would take too long.
CHECKED_BYTES: Final = 64 << 20

_ASIDE: Final = re.compile(r"(.+)\.damaged-(\d{8}T\d{6}Z)(-\d+)?")
_STAMP: Final = "%Y%m%dT%H%M%SZ"
#: Codes and words of SQLite for a file that is not what was written, or has other tables.
_CODES: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_WORDS: Final = (
    "no such table", "no such column", "has no column named", "malformed", "could not decode",
    "values were supplied", "there is already", "not a table", "is a view", "views may not",
    "may not be indexed", "may not be altered", "may not be modified", "does not match any",
)  # fmt: skip

T = TypeVar("T")


class DamagedContent(sqlite3.DatabaseError):
    """A row holds what nobody has written into it, or a check has found that a page does."""


class Aside(NamedTuple):
    """A file that was set aside.

    Attributes:
        name: The former name of the file.
        time: Unix seconds when it was set aside.
        path: Its present path.
        number: Number among several in one second.
    """

    name: str
    time: float
    path: Path
    number: int = 0


def is_corrupt(error: BaseException) -> bool:
    """True if a page of the file is damaged, whatever the statement was."""
    if isinstance(error, DamagedContent):
        return True
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    return isinstance(error, sqlite3.Error) and code in _CODES


def is_damage(error: BaseException) -> bool:
    """True if an error of our statements shows that the file is not as it was written."""
    if is_corrupt(error):
        return True
    if not isinstance(error, sqlite3.Error):
        return False
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    return code == sqlite3.SQLITE_ERROR and any(word in str(error).lower() for word in _WORDS)


@contextmanager
def content() -> Iterator[None]:
    """Around the reading of what rows hold.

    Raises:
        DamagedContent: It is not what was written.
    """
    try:
        yield
    except (
        ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError,
        msgpack.UnpackException,
    ) as error:  # fmt: skip
        raise DamagedContent(f"a row holds what was not written: {error!r}") from error


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Read a file through, if it is not too large for that.

    Raises:
        sqlite3.DatabaseError: It is damaged.
    """
    if path.stat().st_size <= CHECKED_BYTES:
        found: Any = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found[0] != "ok":
            raise DamagedContent(f"{path.name} is damaged: {found[0]}")


def whole(path: Path, call: Callable[[], T]) -> T:
    """Do something with a file; if that shows that it is damaged, again with a new one.

    Args:
        path: Path of the file; `call` makes it if it is not there.
        call: Does it.
    """
    try:
        with healed(path):
            return call()
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
    return call()


@contextmanager
def healed(path: Path) -> Iterator[None]:
    """Around the use of a file: if that shows that it is damaged, it is set aside.

    Raises:
        sqlite3.Error: What was seen; the next attempt finds a new file.
    """
    before = _identity(path)
    try:
        yield
    except sqlite3.Error as error:
        if is_damage(error):
            set_aside(path, error, identity=before)
        raise


def set_aside(
    path: Path,
    error: BaseException | None = None,
    *,
    identity: int | None = None,
    group: str = "",
    clock: Callable[[], float] = time.time,
) -> Path | None:
    """Rename a damaged file, and tell.

    Args:
        path: Path of the file.
        error: Error that showed the damage.
        identity: The inode in which it was seen: another process may have set it aside since.
        group: Pattern of the names of which `KEEP` stay; by default this one.
        clock: Unix seconds.

    Returns:
        Where it is now; ``None`` if another process did it, or there is none.

    Raises:
        OSError: The directory cannot be written.
    """
    lock = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        here = _identity(path)
        if here is None or identity not in {None, here}:
            return None
        aside = _free(path, clock())
        path.rename(aside)
        # The log goes with its file: beside the new one it would damage that, too.
        for suffix in ("-wal", "-shm", "-journal"):
            beside = path.with_name(path.name + suffix)
            if beside.exists():
                beside.rename(aside.with_name(aside.name + suffix))
        for old in _asides(path.parent, group or path.name)[:-KEEP]:
            remove_aside(old)
    finally:
        os.close(lock)
    LOG.error("%s is damaged (%s); it is kept as %s, a new one is begun", path, error, aside.name)
    return aside


def asides(*directories: Path) -> list[Aside]:
    """The files that were set aside in these directories, the oldest first."""
    return sorted(
        (one for place in directories for one in _asides(place, "*")), key=lambda one: one.time
    )


def remove_aside(one: Aside) -> None:
    """Remove a file that was set aside, and what is beside it."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        one.path.with_name(one.path.name + suffix).unlink(missing_ok=True)


def _asides(directory: Path, group: str) -> list[Aside]:
    found = []
    for path in directory.glob(f"{group}.damaged-*"):
        name = _ASIDE.fullmatch(path.name)
        if name is not None:
            moment = datetime.strptime(name[2], _STAMP).replace(tzinfo=UTC)
            number = int((name[3] or "-0")[1:])
            found.append(Aside(name[1], moment.timestamp(), path, number))
    return sorted(found, key=lambda one: (one.time, one.number))


def _free(path: Path, now: float) -> Path:
    stamp = datetime.fromtimestamp(now, UTC).strftime(_STAMP)
    first = path.with_name(f"{path.name}.damaged-{stamp}")
    taken = [one.number for one in _asides(path.parent, path.name) if one.path.match(f"*{stamp}*")]
    return first if not taken else first.with_name(f"{first.name}-{max(taken) + 1}")


def _identity(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None
