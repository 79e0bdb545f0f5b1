"""Reads alerts and their deliveries for people, from other processes than the monitor."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .alert import MOMENTS
from .alert_store import COLUMNS, alert_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .alert import Alert


@dataclass(frozen=True, slots=True)
class Delivery:
    """The delivery of one alert to one sink.

    Attributes:
        sink: Name of the sink.
        status: ``pending``, ``delivered``, ``failed``, ``skipped`` or ``muted``.
        attempts: Made so far.
        next_at: Unix seconds of the next attempt, when pending; of the end, when muted.
        finished_at: Unix seconds of the end; ``None`` when pending or muted.
        detail: Last answer of the sink.
    """

    sink: str
    status: str
    attempts: int
    next_at: float
    finished_at: float | None
    detail: str


@dataclass(frozen=True, slots=True)
class Told:
    """An alert and its deliveries.

    Attributes:
        alert: As it was put in.
        open: Whether its episode is not over.
        deliveries: By sink.
    """

    alert: Alert
    open: bool
    deliveries: tuple[Delivery, ...]

    def to_json(self) -> dict[str, Any]:
        """The alert and its deliveries as JSON values."""
        one = self.alert
        return {
            "name": one.name,
            "kind": one.kind,
            "state": one.state,
            "open": self.open,
            "severity": one.severity,
            "model": one.model,
            "version": one.version,
            "subject": one.subject,
            "episode": one.episode,
            "time": one.time,
            "summary": one.summary,
            "evidence": dict(one.evidence),
            "deliveries": [
                {name: getattr(sent, name) for name in Delivery.__slots__}
                for sent in self.deliveries
            ],
        }


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of episodes and deliveries, for metrics.

    Attributes:
        open: Kind, model and severity -> episodes that are not over.
        deliveries: Sink and status -> deliveries that are remembered.
    """

    open: dict[tuple[str, str, str], int]
    deliveries: dict[tuple[str, str], int]


_MOMENT = " OR ".join(f"kind = '{word}' OR kind GLOB '{word}.*'" for word in MOMENTS)
_OPEN = f"""state = 'opened' AND NOT ({_MOMENT}) AND NOT EXISTS (
    SELECT 1 FROM alerts AS other WHERE other.episode = one.episode AND other.state = 'closed')"""  # noqa: S608


def read_alerts(path: Path, limit: int, *, model: str = "", only_open: bool = False) -> list[Told]:
    """The latest alerts, newest first.

    Args:
        path: File of the alert store; a file that is not there holds no alerts.
        limit: At most so many.
        model: Only of this model; of all by default.
        only_open: Only of episodes that are not over.

    Raises:
        sqlite3.Error: The file cannot be read.
    """
    query = f"""
        SELECT one.id, {_OPEN}, {COLUMNS} FROM alerts AS one
        WHERE (? = '' OR model = ?) AND (NOT ? OR {_OPEN}) ORDER BY id DESC LIMIT ?"""  # noqa: S608
    sent = f"SELECT {', '.join(Delivery.__slots__)} FROM deliveries WHERE alert = ?"  # noqa: S608
    with _opened(path) as store:
        if store is None:
            return []
        rows = store.execute(query, (model, model, only_open, limit)).fetchall()
        return [
            Told(
                alert_of(tuple(row)),
                bool(is_open),
                tuple(Delivery(*one) for one in store.execute(sent, (number,))),
            )
            for number, is_open, *row in rows
        ]


def read_counts(path: Path) -> Counts:
    """The numbers of open episodes and of deliveries by result.

    Raises:
        sqlite3.Error: The file cannot be read.
    """
    episodes = f"""
        SELECT kind, model, severity, count(*) FROM alerts AS one
        WHERE {_OPEN} GROUP BY kind, model, severity"""  # noqa: S608 - of constants
    sent = "SELECT sink, status, count(*) FROM deliveries GROUP BY sink, status"
    with _opened(path) as store:
        if store is None:
            return Counts({}, {})
        return Counts(
            {(kind, model, severity): n for kind, model, severity, n in store.execute(episodes)},
            {(sink, status): n for sink, status, n in store.execute(sent)},
        )


def waiting_since(path: Path) -> dict[str, float]:
    """Sinks that have refused an alert and not taken it yet -> Unix seconds of the oldest such.

    Raises:
        sqlite3.Error: The file cannot be read.
    """
    query = """
        SELECT sink, min(time) FROM deliveries JOIN alerts ON alerts.id = alert
        WHERE status = 'pending' AND attempts > 1 GROUP BY sink"""
    with _opened(path) as store:
        if store is None:
            return {}
        return dict(store.execute(query))


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection | None]:
    """A connection that reads; ``None`` if no alert was ever put in.

    The file is there a moment before its tables, which come together with the number of its format.
    """
    if not path.exists():
        yield None
        return
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=5.0)) as store:
        made = store.execute("PRAGMA user_version").fetchone()[0]
        yield store if made else None
