"""What became of sampled rows: by the metrics of a server, and by its day files."""

from __future__ import annotations

import sqlite3
import time
import urllib.request
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from .managed import Managed

_FAMILIES: Final = {
    "sampled": "penstock_sampled_rows_total",
    "dropped": "penstock_sampled_rows_dropped_total",
    "written": "penstock_log_rows_written_total",
    "not_written": "penstock_log_rows_dropped_total",
    "lost": "penstock_log_rows_lost_total",
}


@dataclass(frozen=True, slots=True)
class Books:
    """Rows, by what became of them.

    Attributes:
        sampled: Picked by workers.
        dropped: Had no room in a worker.
        written: In the prediction log.
        not_written: Reached the monitor in vain.
        lost: Gone with a killed worker.
    """

    sampled: int
    dropped: int
    written: int
    not_written: int
    lost: int

    @property
    def missing(self) -> int:
        """Of which nobody knows what became of them; on their way while the server runs."""
        return self.sampled - self.dropped - self.written - self.not_written - self.lost


def read_books(server: Managed) -> Books:
    """What the metrics say now."""
    url = f"http://127.0.0.1:{server.admin_port}/metrics"
    with urllib.request.urlopen(url, timeout=30) as answer:
        text = answer.read().decode()
    totals = dict.fromkeys(_FAMILIES, 0)
    for line in text.splitlines():
        for name, family in _FAMILIES.items():
            if line.startswith(f"{family}{{"):
                totals[name] += int(float(line.rpartition(" ")[2]))
    return Books(**totals)


def settled_books(server: Managed, timeout_seconds: float = 120.0) -> Books:
    """What they say when nothing is on its way any more, or when patience ends."""
    end = time.monotonic() + timeout_seconds
    while (books := read_books(server)).missing and time.monotonic() < end:
        time.sleep(0.5)
    return books


def rows_on_disk(state: Path, model: str) -> tuple[int, int, list[str]]:
    """Rows of a model, rows that are there twice, and files that are not sound."""
    rows = doubled = 0
    unsound = []
    for path in sorted((state / "monitor" / "log").glob("predictions-*.db")):
        with closing(sqlite3.connect(path)) as db:
            if db.execute("pragma integrity_check").fetchone() != ("ok",):
                unsound.append(path.name)
            there = "select count(*) from sqlite_master where name = ?"
            if not db.execute(there, (model,)).fetchone()[0]:
                continue
            rows += db.execute(f'select count(*) from "{model}"').fetchone()[0]  # noqa: S608  a name of ours
            groups = f'select 1 from "{model}" group by request_id, row having count(*) > 1'  # noqa: S608  the same
            doubled += db.execute(f"select count(*) from ({groups})").fetchone()[0]  # noqa: S608  the same
    return rows, doubled, unsound
