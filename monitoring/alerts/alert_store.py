"""Alerts that wait to be told, on disk: any process puts them in, one takes them out.

An alert is one row, named by its episode and state, so that putting it in twice is putting it in
once: who is not sure (after a crash, after an error) puts it in again. The file is bounded: beyond
`KEEP` rows the oldest go.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager, suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import orjson

from penstock.monitoring.databases import check, content, healed, whole
from penstock.monitoring.text import clean, clean_content

from .alert import CLOSED, OPENED, Alert

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
#: Alerts that are remembered, told or not.
KEEP: Final = 10_000

_BUSY_SECONDS: Final = 5.0
_ATTEMPTS: Final = 100
_MAX_NAME: Final = 200
_MAX_SUMMARY: Final = 1000
_MAX_EVIDENCE_BYTES: Final = 16 * 1024
_FLAGS: Final = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
#: Files that were read through since this process began.
_CHECKED: Final[set[Path]] = set()
_MOST_CHECKED: Final = 100
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS alerts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    episode TEXT NOT NULL,
    state TEXT NOT NULL,
    kind TEXT NOT NULL,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    subject TEXT NOT NULL,
    severity TEXT NOT NULL,
    time REAL NOT NULL,
    summary TEXT NOT NULL,
    evidence BLOB NOT NULL,
    routed INTEGER NOT NULL DEFAULT 0,
    UNIQUE (episode, state)
) STRICT;
CREATE INDEX IF NOT EXISTS alerts_routed ON alerts (routed) WHERE routed = 0;
CREATE TABLE IF NOT EXISTS deliveries (
    alert INTEGER NOT NULL REFERENCES alerts (id) ON DELETE CASCADE,
    sink TEXT NOT NULL,
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at REAL NOT NULL,
    finished_at REAL,
    detail TEXT NOT NULL DEFAULT '',
    released_at REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (alert, sink)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS deliveries_pending ON deliveries (next_at) WHERE status = 'pending';
CREATE INDEX IF NOT EXISTS deliveries_muted ON deliveries (next_at) WHERE status = 'muted';
"""
#: From a file of an earlier release.
_MIGRATION: Final = """
ALTER TABLE deliveries ADD COLUMN released_at REAL NOT NULL DEFAULT 0;
CREATE INDEX IF NOT EXISTS deliveries_muted ON deliveries (next_at) WHERE status = 'muted';
"""
_FORMAT: Final = 2
COLUMNS: Final = "episode, state, kind, model, version, subject, severity, time, summary, evidence"
_INSERT: Final = f"INSERT OR IGNORE INTO alerts ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?)"  # noqa: S608


class AlertStore:
    """The alerts of one server; cheap to make, safe to use from any thread and process.

    Args:
        path: ``STATE_DIR/monitor/alerts.db``; made when the first alert comes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def put(self, alert: Alert) -> bool:
        """Hand an alert over; returns once it is on disk.

        Args:
            alert: Names and text that are too long are cut, evidence that is too large is left
                out, what UTF-8 cannot write is spelled out: what is wrong is told all the same.

        Returns:
            Whether it is news. False when this state of the episode is known already, or when
            an episode ends that never opened.

        Raises:
            sqlite3.Error, OSError: It could not be written; put it in again later.
        """
        row = _row(alert)

        def insert() -> bool:
            with opened(self._path) as store:
                if not alert.opened and not _known(store, row[0]):
                    return False
                added = store.execute(_INSERT, row).rowcount
                store.execute(
                    "DELETE FROM alerts WHERE id <= (SELECT max(id) FROM alerts) - ?", (KEEP,)
                )
            return added == 1

        return whole(self._path, insert)

    def open_episodes(self, kind: str = "") -> list[Alert]:
        """Alerts of episodes that are not over, oldest first: what a process goes on with.

        Args:
            kind: Only this kind; all by default.

        Raises:
            sqlite3.Error: The file cannot be read.
        """
        query = f"""
            SELECT {COLUMNS} FROM alerts AS one
            WHERE state = '{OPENED}' AND (? = '' OR kind = ?) AND NOT EXISTS (
                SELECT 1 FROM alerts WHERE episode = one.episode AND state = '{CLOSED}')
            ORDER BY id"""  # noqa: S608 - of constants

        def read() -> list[Alert]:
            with opened(self._path) as store:
                return [alert_of(row) for row in store.execute(query, (kind, kind))]

        if not self._path.exists():
            return []
        return whole(self._path, read)


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection for one transaction: committed at the end, rolled back on an error.

    A file that is damaged is set aside; the next transaction has a new one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        healed(path),
        closing(sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)) as store,
    ):
        store.execute("PRAGMA foreign_keys = ON")
        if store.execute("PRAGMA user_version").fetchone()[0] < _FORMAT:
            _prepare(store)
        if path not in _CHECKED:
            check(store, path)
            if len(_CHECKED) < _MOST_CHECKED:
                _CHECKED.add(path)
        store.execute("BEGIN IMMEDIATE")
        try:
            yield store
        except BaseException:
            with suppress(sqlite3.Error):  # it may have been rolled back already
                store.execute("ROLLBACK")
            raise
        store.execute("COMMIT")


def _prepare(store: sqlite3.Connection) -> None:
    """Make the tables, which another process may be doing, too.

    SQLite waits for others by itself, but not where the mode of the journal changes.
    """
    for _ in range(_ATTEMPTS):
        try:
            store.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError:
            store.execute("BEGIN IMMEDIATE")  # waits for them
            store.execute("COMMIT")
    else:
        store.execute("PRAGMA journal_mode = WAL")
    store.execute("BEGIN IMMEDIATE")
    (found,) = store.execute("PRAGMA user_version").fetchone()  # another process may be faster
    script = {0: _SCHEMA, 1: _MIGRATION}.get(found, "")
    for statement in filter(str.strip, script.split(";")):
        store.execute(statement)
    store.execute(f"PRAGMA user_version = {max(found, _FORMAT)}")
    store.execute("COMMIT")


def alert_of(row: tuple[Any, ...]) -> Alert:
    """The alert in a row of `COLUMNS`.

    Raises:
        DamagedContent: There is none.
    """
    episode, state, kind, model, version, subject, severity, time, summary, evidence = row
    with content():
        return Alert(
            kind=kind,
            model=model,
            version=version,
            subject=subject,
            severity=severity,
            opened=state == OPENED,
            episode=episode,
            time=time,
            summary=summary,
            evidence=orjson.loads(evidence),
        )


def _row(alert: Alert) -> tuple[Any, ...]:
    evidence = _packed(dict(alert.evidence))
    if len(evidence) > _MAX_EVIDENCE_BYTES:
        evidence = orjson.dumps({"left_out_bytes": len(evidence)})
    return (
        _short(alert.episode),
        alert.state,
        alert.kind,
        _short(alert.model),
        _short(alert.version),
        _short(alert.subject),
        alert.severity,
        alert.time,
        clean(alert.summary[:_MAX_SUMMARY]),
        evidence,
    )


def _packed(evidence: dict[str, Any]) -> bytes:
    """JSON of whatever it is: an alert is told although its figures cannot be."""
    try:
        return orjson.dumps(
            clean_content(evidence), option=_FLAGS, default=lambda one: clean(str(one))
        )
    except (TypeError, ValueError, RecursionError) as error:
        return orjson.dumps({"left_out": clean(str(error))})


def _short(name: str) -> str:
    """A name of bounded length that still tells apart what differs at its end."""
    name = clean(name)
    if len(name) <= _MAX_NAME:
        return name
    return f"{name[: _MAX_NAME - 17]}~{blake2b(name.encode(), digest_size=8).hexdigest()}"


def _known(store: sqlite3.Connection, episode: str) -> bool:
    query = f"SELECT 1 FROM alerts WHERE episode = ? AND state = '{OPENED}'"  # noqa: S608
    return store.execute(query, (episode,)).fetchone() is not None
