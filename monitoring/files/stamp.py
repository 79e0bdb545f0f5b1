"""Stamps of files, by which a process sees that a file was changed or replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: Inode, size, and when content and inode last changed, in nanoseconds.
Stamp = tuple[int, int, int, int]


def stamp_of(path: Path) -> Stamp | None:
    """The stamp of a file, which is another one after each change; ``None`` if there is none.

    A file that is replaced by a rename has another inode. One that is written in place has another
    time, and another size where both writes fall into one tick of the clock. The time of the inode
    changes also where a copy keeps the time of its content.
    """
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def last_written(database: Path) -> tuple[tuple[int, ...] | None, ...]:
    """Times and lengths of a SQLite file and its journal; ``None`` for no file.

    Opening them is no change: SQLite touches their inodes then, which changes their stamps.
    """
    journal = database.with_name(f"{database.name}-wal")
    stamps = (stamp_of(database), stamp_of(journal))
    return tuple(None if one is None else one[1:3] for one in stamps)
