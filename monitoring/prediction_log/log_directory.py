"""The files of the prediction log: their list, their sizes, and the order of removal.

::

    log/predictions-2026-11-20.db              one day, written or not yet sealed
    log/predictions-2026-11-19.db.damaged-20261119T081500Z   moved aside, for an operator to look at
    parquet/model=<model>/dt=2026-11-18/part.parquet
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from penstock.monitoring.databases import set_aside
from penstock.monitoring.files.atomic_file import replace_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_DAY_FILE: Final = re.compile(r"predictions-(\d{4}-\d\d-\d\d)\.db(.*)")
_PARTITION: Final = re.compile(r"dt=(\d{4}-\d\d-\d\d)")
_DAY_SECONDS: Final = 86_400
#: In ``log``: up to when time has surely passed, Unix seconds.
MARK: Final = "retention"
#: In ``log``: how many erasures have begun.
ERASURES: Final = "erasures"
_LATEST: Final = 32_503_680_000.0


def day_of(now: float) -> str:
    """The day of a time in Unix seconds, in UTC, as ``2026-11-20``."""
    return datetime.fromtimestamp(now, UTC).date().isoformat()


def seconds_left(now: float) -> float:
    """Seconds until the next day begins."""
    return _DAY_SECONDS - now % _DAY_SECONDS


class LogDirectory:
    """The directories ``log`` and ``parquet`` of the monitor's state.

    Args:
        state: ``state_dir/monitor``.
    """

    def __init__(self, state: Path) -> None:
        self.log = state / "log"
        self.parquet = state / "parquet"

    def make(self) -> None:
        """Make what is not there.

        Raises:
            OSError: It cannot be made.
        """
        self.log.mkdir(mode=0o700, parents=True, exist_ok=True)

    def day_file(self, day: str) -> Path:
        """The file in which the predictions of a day are written."""
        return self.log / f"predictions-{day}.db"

    def day_files(self) -> dict[str, Path]:
        """All day files, the oldest first."""
        found = {}
        for path in _entries(self.log):
            name = _DAY_FILE.fullmatch(path.name)
            if name is not None and not name[2]:
                found[name[1]] = path
        return dict(sorted(found.items()))

    def partitions(self) -> dict[str, list[Path]]:
        """The directories ``dt=…`` of each sealed day, the oldest first."""
        found: dict[str, list[Path]] = {}
        for model in _entries(self.parquet):
            for path in _entries(model):
                name = _PARTITION.fullmatch(path.name)
                if name is not None:
                    found.setdefault(name[1], []).append(path)
        return dict(sorted(found.items()))

    def used_bytes(self) -> int:
        """Bytes of all files; a write-ahead log counts twice, as its content will be copied."""
        total = 0
        for path in (*_tree(self.log), *_tree(self.parquet)):
            with suppress(OSError):
                size = path.stat().st_size
                total += 2 * size if path.name.endswith("-wal") else size
        return total

    def day_bytes(self, day: str) -> int:
        """Of one day that is not sealed."""
        total = 0
        for path in _entries(self.log):
            with suppress(OSError):
                if path.name.startswith(f"predictions-{day}.db"):
                    total += path.stat().st_size
        return total

    def drop_oldest(self, but: str) -> str | None:
        """Remove the oldest day, sealed or not, or the oldest damaged file; returns its name.

        Args:
            but: The present day, whose file stays.
        """
        for day in sorted(self.days()):
            if self.drop(day, aside_only=day == but):
                return day
        return None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock for changes of days that are over: one process changes them at a time.

        An erasure holds it from beginning to end, sealing holds it while files change places. No
        other lock is taken inside, so there is no deadlock.
        """
        descriptor = os.open(self.log, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def erasures(self) -> int:
        """Number of erasures so far: rows read before an erasure must not be written after it."""
        try:
            return int((self.log / ERASURES).read_text())
        except (OSError, ValueError):
            return 0

    def count_erasure(self) -> None:
        """An erasure begins; call it with the lock.

        Raises:
            OSError: It cannot be written; then nothing may be erased.
        """
        replace_file(self.log / ERASURES, str(self.erasures() + 1).encode())

    def read_mark(self) -> float | None:
        """The mark of retention, see `.retention`; ``None`` without one."""
        try:
            mark = float((self.log / MARK).read_text())
        except (OSError, ValueError):
            return None
        return mark if 0 <= mark <= _LATEST else None

    def write_mark(self, mark: float) -> None:
        """Write the mark; after a failure old days stay somewhat longer."""
        with suppress(OSError):
            replace_file(self.log / MARK, repr(mark).encode())

    def days(self) -> set[str]:
        """All days of which something is kept."""
        return set(self.partitions()) | set(self.day_files()) | set(self._aside())

    def drop(self, day: str, *, aside_only: bool = False) -> bool:
        """Remove a day; returns whether there was anything."""
        gone = list(self._aside().get(day, ()))
        if not aside_only:
            gone += self.partitions().get(day, ())
            gone += [path for path in _entries(self.log) if day in path.name and path not in gone]
            gone += [path for path in _entries(self.parquet) if path.name == f".sealing-{day}"]
        for path in gone:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        return bool(gone)

    def move_aside(
        self, path: Path, error: BaseException, clock: Callable[[], float] = time.time
    ) -> None:
        """Take a damaged day file out of the way.

        Raises:
            OSError: The directory cannot be written.
        """
        set_aside(path, error, group="predictions-*.db", clock=clock)

    def _aside(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for path in _entries(self.log):
            name = _DAY_FILE.fullmatch(path.name)
            if name is not None and name[2] not in {"", "-wal", "-shm", "-journal"}:
                found.setdefault(name[1], []).append(path)
        return found


def _entries(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError:
        return []


def _tree(directory: Path) -> Iterator[Path]:
    for path in _entries(directory):
        if path.is_dir() and not path.is_symlink():
            yield from _tree(path)
        else:
            yield path
