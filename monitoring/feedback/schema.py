"""``truth.db``: labels, their predictions, and the figures that follow from them."""

from __future__ import annotations

import sqlite3
import uuid
from typing import TYPE_CHECKING, Final

from penstock.monitoring.databases import check

if TYPE_CHECKING:
    from pathlib import Path

FEEDBACK_FILE: Final = "truth.db"
#: Folder of the tables of `penstock.monitoring.feedback.recent`.
RECENT_FOLDER: Final = "recent"
BUSY_SECONDS: Final = 5.0

#: `slot` is empty while no prediction is known. Unknown values stay empty. `truth` is `label`
#: as the model spells it. `unit` is the subject of the prediction. `segment` is a row of
#: `segments`, whose `names` are the value of each declared field, as JSON; 0 without any.
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS slots (
    id INTEGER PRIMARY KEY, model TEXT NOT NULL, version TEXT NOT NULL, arm TEXT NOT NULL,
    kind TEXT NOT NULL, fraction REAL NOT NULL,
    UNIQUE (model, version, arm));
CREATE TABLE IF NOT EXISTS classes (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS labels (
    number INTEGER PRIMARY KEY, key INTEGER NOT NULL,
    request_id TEXT NOT NULL, idx INTEGER NOT NULL, source TEXT NOT NULL,
    label NOT NULL, label_time REAL NOT NULL, received REAL NOT NULL,
    slot INTEGER, predicted, predicted_at REAL,
    "right" INTEGER, loss REAL, confidence REAL, true_score REAL, brier REAL,
    positive_score REAL, positive INTEGER, truth, unit TEXT NOT NULL DEFAULT '',
    segment INTEGER NOT NULL DEFAULT 0,
    UNIQUE (request_id, idx, source));
CREATE INDEX IF NOT EXISTS labels_parked ON labels (received) WHERE slot IS NULL;
CREATE INDEX IF NOT EXISTS labels_arrived ON labels (slot) WHERE slot IS NOT NULL;
CREATE INDEX IF NOT EXISTS labels_of ON labels (slot, predicted_at) WHERE slot IS NOT NULL;
CREATE TABLE IF NOT EXISTS history (
    request_id TEXT NOT NULL, idx INTEGER NOT NULL, source TEXT NOT NULL,
    label NOT NULL, label_time REAL NOT NULL, received REAL NOT NULL);
CREATE INDEX IF NOT EXISTS history_of ON history (request_id, idx);
CREATE TABLE IF NOT EXISTS traffic (
    slot INTEGER NOT NULL, hour INTEGER NOT NULL, rows INTEGER NOT NULL, confidence BLOB NOT NULL,
    PRIMARY KEY (slot, hour)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS judges (
    model TEXT NOT NULL, version TEXT NOT NULL, state TEXT NOT NULL,
    PRIMARY KEY (model, version)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outcomes (
    outcome TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS segments (id INTEGER PRIMARY KEY, names TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS summaries (slot INTEGER PRIMARY KEY, summary TEXT NOT NULL);
"""


def open_to_write(path: Path) -> sqlite3.Connection:
    """The file, made if need be; every commit is on the disk when it returns.

    Raises:
        sqlite3.Error: It cannot be made, or is damaged.
    """
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(SCHEMA)
        if not has_column(connection, "truth"):  # of an earlier release
            connection.execute("ALTER TABLE labels ADD COLUMN truth")
        if not has_column(connection, "unit"):
            connection.execute("ALTER TABLE labels ADD COLUMN unit TEXT NOT NULL DEFAULT ''")
        if not has_column(connection, "segment"):
            connection.execute("ALTER TABLE labels ADD COLUMN segment INTEGER NOT NULL DEFAULT 0")
        check(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def open_to_read(path: Path) -> sqlite3.Connection | None:
    """The file, or ``None`` if no label and no prediction was ever kept."""
    if not path.is_file():
        return None
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS
    )
    connection.row_factory = sqlite3.Row
    return connection


def identity(connection: sqlite3.Connection) -> str:
    """The name of one ``truth.db``, which no other file has; made if need be."""
    row = connection.execute("SELECT value FROM meta WHERE name = 'identity'").fetchone()
    mine = uuid.uuid4().hex if row is None else str(row[0])
    connection.execute("INSERT OR IGNORE INTO meta VALUES ('identity', ?)", (mine,))
    return mine


def has_column(connection: sqlite3.Connection, name: str) -> bool:
    """Whether the labels of a file have this column; those of earlier releases lack some."""
    return any(one[1] == name for one in connection.execute("PRAGMA table_info(labels)"))
