"""Windows on disk: `windows.db`, one row for each closed window and one for each that is open.

One process writes; any may read (`reading`). Rows live for 90 days; those of a day are merged into
one after 14. The counts are exact either way.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgpack

from penstock.monitoring.databases import check, content

from .sketches import Sketches, library
from .window import Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

KEEP_SECONDS: Final = 90 * 86_400.0
HOURS_SECONDS: Final = 14 * 86_400.0
_DAY: Final = 86_400.0
_BUSY_SECONDS: Final = 5.0
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS windows (
    id INTEGER PRIMARY KEY, model TEXT, version TEXT, arm TEXT, baseline TEXT, span TEXT,
    start REAL, end REAL, rows INTEGER, skipped INTEGER, state TEXT, content BLOB, findings BLOB
);
CREATE INDEX IF NOT EXISTS windows_by_end ON windows (model, version, arm, end);
CREATE INDEX IF NOT EXISTS windows_by_age ON windows (span, end);
CREATE TABLE IF NOT EXISTS watches (
    model TEXT, version TEXT, arm TEXT, state BLOB, PRIMARY KEY (model, version, arm)
);
CREATE TABLE IF NOT EXISTS learners (
    model TEXT, version TEXT, state BLOB, PRIMARY KEY (model, version)
);
CREATE TABLE IF NOT EXISTS sketches (
    model TEXT, version TEXT, arm TEXT, baseline TEXT, day INTEGER, state BLOB,
    PRIMARY KEY (model, version, arm, baseline, day)
);
"""
_DAY_SKETCHES: Final = (
    "FROM sketches WHERE model = ? AND version = ? AND arm = ? AND baseline = ? AND day = ?"
)
#: What is known of a version goes with its last window.
_FORGET: Final = (
    "DELETE FROM watches WHERE (model, version, arm) IN (SELECT model, version, arm FROM windows"
    " GROUP BY 1, 2, 3 HAVING max(end) < ?)"
)
_CLOSED: Final = "model = ? AND version = ? AND arm = ?"


class Key(NamedTuple):
    """The subject of a window: model, version and arm.

    Attributes:
        model: Name of the model.
        version: As the registry has it.
        arm: Arm of the rollout; empty without one.
    """

    model: str
    version: str
    arm: str


@dataclass(frozen=True, slots=True)
class ClosedWindow:
    """A window and what was found in it.

    Attributes:
        key: What it is of.
        baseline: Id of the baseline that it was compared with.
        state: State of the version after it.
        window: The counts.
        findings: By name of the feature, as `Assessment.to_dict` gives it, with its ``state``.
        span: ``window``, or ``day`` for those of a day together.
    """

    key: Key
    baseline: str
    state: str
    window: Window
    findings: Mapping[str, Mapping[str, Any]]
    span: str = "window"


class WindowStore:
    """The file, open for writing. One thread.

    Args:
        path: Path of the file; made if it is not there.

    Raises:
        sqlite3.Error: It cannot be opened, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False)
        try:
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.executescript(_SCHEMA)
            check(self._database, path)
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def put(self, closed: ClosedWindow, drift_state: Mapping[str, Any]) -> None:
        """Keep a closed window and what goes on after it, both or neither."""
        sketches = closed.window.sketches
        with self._database:
            self._insert(closed)
            self._save(closed.key, drift_state)
            if sketches is not None:
                self._add_to_day(closed, sketches)

    def save(
        self,
        drift_states: Mapping[Key, Mapping[str, Any]],
        learners: Mapping[tuple[str, str], Mapping[str, Any]],
    ) -> None:
        """Keep what is open, so that a restart goes on with it.

        Args:
            drift_states: State of each.
            learners: Of each model and version; an empty one is forgotten.
        """
        with self._database:
            for key, drift_state in drift_states.items():
                self._save(key, drift_state)
            for (model, version), state in learners.items():
                if state:
                    row = (model, version, msgpack.packb(state))
                    self._database.execute("REPLACE INTO learners VALUES (?, ?, ?)", row)
                else:
                    query = "DELETE FROM learners WHERE model = ? AND version = ?"
                    self._database.execute(query, (model, version))

    def drift_states(self) -> dict[Key, dict[str, Any]]:
        """The saved drift states, each with its open window."""
        rows = self._database.execute("SELECT model, version, arm, state FROM watches")
        with content():
            return {Key(*row[:3]): msgpack.unpackb(row[3]) for row in rows}

    def arms(self) -> list[Key]:
        """The subjects that were ever watched in an arm of a rollout."""
        rows = self._database.execute("SELECT model, version, arm FROM watches WHERE arm != ''")
        return [Key(*row) for row in rows]

    def drift_state(self, key: Key) -> dict[str, Any] | None:
        """The saved drift state of one subject; ``None`` if there is none."""
        query = f"SELECT state FROM watches WHERE {_CLOSED}"  # noqa: S608  constant
        row = self._database.execute(query, key).fetchone()
        with content():
            return msgpack.unpackb(row[0]) if row else None

    def learner(self, model: str, version: str) -> dict[str, Any]:
        """The saved state of learning; empty if there is none."""
        query = "SELECT state FROM learners WHERE model = ? AND version = ?"
        row = self._database.execute(query, (model, version)).fetchone()
        with content():
            return msgpack.unpackb(row[0]) if row else {}

    def of_version(self, key: Key, baseline: str, most: int) -> list[Window]:
        """Windows with enough rows under a baseline in all arms of a version, oldest first.

        Of more than `most`, an even part.
        """
        where = (
            "FROM windows WHERE model = ? AND version = ? AND baseline = ? "
            "AND state != 'too little data' AND span = 'window' ORDER BY end"
        )
        ids = self._database.execute(f"SELECT id {where}", (*key[:2], baseline)).fetchall()
        every, found = -(-len(ids) // most) or 1, []
        with content():
            query = "SELECT content FROM windows WHERE id = ?"
            for one in ids[::every]:
                (packed,) = self._database.execute(query, one).fetchone()
                found.append(Window.from_dict(msgpack.unpackb(packed)))
        return found

    def maintain(self, now: float) -> None:
        """Forget what is too old, and merge the windows of days that are over."""
        with self._database as database:
            database.execute(_FORGET, (now - KEEP_SECONDS,))
            database.execute("DELETE FROM windows WHERE end < ?", (now - KEEP_SECONDS,))
            days = (now - 2 * HOURS_SECONDS) // _DAY
            database.execute("DELETE FROM sketches WHERE day < ?", (days,))
            groups = database.execute(
                "SELECT model, version, arm, baseline, CAST(end / 86400 AS INTEGER) AS day "
                "FROM windows WHERE span = 'window' AND end < ? GROUP BY 1, 2, 3, 4, 5",
                ((now - HOURS_SECONDS) // _DAY * _DAY,),
            ).fetchall()
            for *labels, baseline, day in groups:
                self._merge_day(Key(*labels), baseline, day)

    def _merge_day(self, key: Key, baseline: str, day: int) -> None:
        where = (
            f"{_CLOSED} AND baseline = ? AND span = 'window' AND CAST(end / 86400 AS INTEGER) = ?"
        )
        arguments = (*key, baseline, day)
        windows = list(_windows(self._database, where, arguments))
        first, *others = windows
        for other in others:
            first.window.merge(other.window)
        first.window.figures = self._of_day(Key(*key), baseline, day)
        worst = max(windows, key=lambda one: _RANK.get(one.state, 0))
        self._database.execute(f"DELETE FROM windows WHERE {where}", arguments)  # noqa: S608  constant
        self._insert(ClosedWindow(key, baseline, worst.state, first.window, worst.findings, "day"))

    def _add_to_day(self, closed: ClosedWindow, sketches: Sketches) -> None:
        """Add to the sketches of its day: those of each window would take too much room."""
        place = (*closed.key, closed.baseline, int(closed.window.end // _DAY))
        before = self._database.execute(f"SELECT state {_DAY_SKETCHES}", place).fetchone()
        if before is not None:
            with content():
                sketches.merge(Sketches.from_dict(msgpack.unpackb(before[0])))
        row = (*place, msgpack.packb(sketches.to_dict()))
        self._database.execute("REPLACE INTO sketches VALUES (?, ?, ?, ?, ?, ?)", row)

    def _of_day(self, key: Key, baseline: str, day: int) -> dict[str, dict[str, Any]]:
        """The figures from the sketches of a day; the sketches are no longer needed."""
        place = (*key, baseline, day)
        row = self._database.execute(f"SELECT state {_DAY_SKETCHES}", place).fetchone()
        self._database.execute(f"DELETE {_DAY_SKETCHES}", place)
        if row is None or library() is None:
            return {}
        with content():
            return Sketches.from_dict(msgpack.unpackb(row[0])).figures()

    def _insert(self, closed: ClosedWindow) -> None:
        window = closed.window
        self._database.execute(
            "INSERT INTO windows VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *closed.key,
                closed.baseline,
                closed.span,
                window.start,
                window.end,
                window.rows,
                window.skipped,
                closed.state,
                msgpack.packb({**window.to_dict(), "sketches": None}),
                msgpack.packb(closed.findings),
            ),
        )

    def _save(self, key: Key, drift_state: Mapping[str, Any]) -> None:
        row = (*key, msgpack.packb(drift_state))
        self._database.execute("REPLACE INTO watches VALUES (?, ?, ?, ?)", row)


#: Worse states hide better ones when windows are merged.
_BY_RANK: Final = ("ok", "calibrating", "provisional", "changed, small", "warn", "drift")
_RANK: Final = {state: rank for rank, state in enumerate(_BY_RANK, 1)}


def _windows(
    database: sqlite3.Connection, where: str, arguments: tuple[Any, ...]
) -> Iterator[ClosedWindow]:
    rows = database.execute(
        "SELECT model, version, arm, baseline, state, content, findings, span FROM windows "  # noqa: S608  constants
        f"WHERE {where}",
        arguments,
    )
    for model, version, arm, baseline, state, packed, findings, span in rows:
        with content():
            window = Window.from_dict(msgpack.unpackb(packed))
            found = msgpack.unpackb(findings)
        yield ClosedWindow(Key(model, version, arm), baseline, state, window, found, span)


def read_windows(
    database: sqlite3.Connection, model: str, version: str | None, most: int
) -> list[ClosedWindow]:
    """The last closed windows of a model, oldest first.

    Args:
        database: The file, open for reading.
        model: Name of the model.
        version: ``None`` for all.
        most: How many of each version and arm.
    """
    where = (
        "id IN (SELECT id FROM (SELECT id, ROW_NUMBER() OVER (PARTITION BY version, arm "
        "ORDER BY end DESC) AS place FROM windows WHERE model = ? AND (? IS NULL OR version = ?)) "
        "WHERE place <= ?) ORDER BY end"
    )
    return list(_windows(database, where, (model, version, version, most)))
