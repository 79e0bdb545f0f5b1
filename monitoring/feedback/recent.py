"""The predictions of the last days, indexed by request id for labels that arrive later.

New ones wait in memory for a second, then go into a table; tables of like size are joined, so
that their number grows with the logarithm of the rows. A prediction costs a hash and some bytes
on disk, and no memory.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from .prediction_table import PredictionTable, join_tables, open_table, write_table

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from .prediction_table import Keys

    Rows = NDArray[np.int64]

LOG = logging.getLogger("penstock.truth")

#: So many tables of like size become one; larger ones than that limit are left alone.
FAN_IN: Final = 8
MAX_JOINED_ROWS: Final = 1 << 18
_NAME: Final = re.compile(r"(\d{12})-(\d{12})\.segment")


@dataclass(slots=True)
class _Entry:
    first: int
    last: int
    path: Path
    table: PredictionTable
    newest: float

    @property
    def tier(self) -> int:
        return max(0, len(self.table).bit_length() - 1) // 3


class Recent:
    """The tables of one directory, oldest first. Only one thread writes.

    Args:
        directory: Its files; made if need be.
        max_rows: Most rows; the oldest table goes first.
        max_seconds: Most seconds that a prediction waits for its label.
    """

    def __init__(self, directory: Path, max_rows: int, max_seconds: float) -> None:
        self._directory = directory
        self._max_rows = max_rows
        self._max_seconds = max_seconds
        directory.mkdir(mode=0o700, exist_ok=True)
        self._entries = self._open()
        self._next = self._entries[-1].last + 1 if self._entries else 0
        self._waiting: list[PredictionTable] = []

    @property
    def rows(self) -> int:
        """Rows on disk."""
        return sum(len(one.table) for one in self._entries)

    def add(self, rows: PredictionTable) -> None:
        """Add predictions that are newer than all before, in the order of time."""
        self._waiting.append(rows)

    def flush(self, now: float) -> PredictionTable | None:
        """Put on disk what was added, join, and let go of what is too old or too much.

        Returns:
            What was added since the last time.

        Raises:
            OSError: The disk; what was added is lost then.
        """
        waiting, self._waiting = self._waiting, []
        fresh = None
        if waiting:
            fresh = join_tables(waiting)
            self._append(self._next, self._next, fresh, float(fresh.times.max()))
            self._next += 1
            self._join_alike()
        while self._entries and (
            self._entries[0].newest < now - self._max_seconds or self.rows > self._max_rows
        ):
            self._entries.pop(0).path.unlink(missing_ok=True)
        return fresh

    def find(self, keys: Keys) -> tuple[list[PredictionTable], Rows, Rows]:
        """The place of the newest prediction of each key.

        Returns:
            Tables, and for each key the place in them, -1 if there is none, and its row there.
        """
        tables = [one.table for one in reversed(self._entries)]
        places = np.full(len(keys), -1)
        rows = np.full(len(keys), -1)
        open_ = np.arange(len(keys))
        for place, table in enumerate(tables):
            if not len(open_):
                break
            found = table.find(keys[open_])
            here = found >= 0
            places[open_[here]] = place
            rows[open_[here]] = found[here]
            open_ = open_[~here]
        return tables, places, rows

    def keep_only_of(self, identity: str) -> None:
        """Remove all tables unless they name slots of this ``truth.db``; those of another lie.

        Args:
            identity: As `penstock.monitoring.feedback.schema.identity` gives it.
        """
        path = self._directory / "identity"
        if path.is_file() and path.read_text() == identity:
            return
        for entry in self._entries:
            entry.path.unlink(missing_ok=True)
        self._entries = []
        path.write_text(identity)

    def _append(self, first: int, last: int, table: PredictionTable, newest: float) -> None:
        path = self._directory / f"{first:012d}-{last:012d}.segment"
        write_table(path, table)
        self._entries.append(_Entry(first, last, path, open_table(path), newest))

    def _join_alike(self) -> None:
        while len(self._entries) >= FAN_IN:
            group = self._entries[-FAN_IN:]
            total = sum(len(one.table) for one in group)
            if total > MAX_JOINED_ROWS or len({one.tier for one in group}) > 1:
                return
            self._entries = self._entries[:-FAN_IN]
            joined = join_tables([one.table for one in group])
            newest = max(one.newest for one in group)
            self._append(group[0].first, group[-1].last, joined, newest)
            for one in group:
                one.path.unlink(missing_ok=True)

    def _open(self) -> list[_Entry]:
        """Open the tables; parts of a joined table that a crash left behind are removed."""
        found: list[_Entry] = []
        for path in self._directory.glob("*.new"):
            path.unlink(missing_ok=True)
        for path in sorted(self._directory.glob("*.segment")):
            name = _NAME.fullmatch(path.name)
            try:
                table = open_table(path)
            except (OSError, ValueError) as error:
                LOG.warning("predictions are forgotten: %s", error)
                path.unlink(missing_ok=True)
                continue
            if name is None or not len(table):
                continue
            first, last = int(name[1]), int(name[2])
            entry = _Entry(first, last, path, table, float(table.times.max()))
            if found and first >= found[-1].first and last <= found[-1].last:
                path.unlink(missing_ok=True)
                continue
            while found and found[-1].first >= first:
                found.pop().path.unlink(missing_ok=True)
            found.append(entry)
        return found
