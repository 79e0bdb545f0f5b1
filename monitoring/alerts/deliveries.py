"""The deliveries of alerts that are still to be made, and their results, in the alert store."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.databases import healed
from penstock.monitoring.files.stamp import last_written

from .alert_store import COLUMNS, alert_of, opened
from .mutes import holding
from .retry import FAILED, MUTED, PENDING, SKIPPED
from .sink import TEST

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from .alert import Alert
    from .mutes import Mute
    from .retry import Verdict
    from .sink import Sink

#: Alerts that are taken up at once.
_ROUTED: Final = 200

_OPEN: Final = """
    SELECT 1 FROM deliveries JOIN alerts ON alerts.id = deliveries.alert
    WHERE sink = ? AND model = ? AND kind <> ? AND state = 'opened'
      AND (status = 'pending' OR (status = 'delivered' AND finished_at > ?)) LIMIT 1"""
_ALERT: Final = ", ".join(f"one.{name}" for name in COLUMNS.split(", "))
# The first of each sink; while the opening of an episode waits, so does its end.
_DUE: Final = f"""
    SELECT one.id, sink, attempts, released_at, {_ALERT}
    FROM deliveries JOIN alerts AS one ON one.id = deliveries.alert
    WHERE status = 'pending' AND next_at <= ? AND NOT EXISTS (
        SELECT 1 FROM deliveries AS earlier JOIN alerts AS other ON other.id = earlier.alert
        WHERE earlier.sink = deliveries.sink AND earlier.status = 'pending'
          AND other.episode = one.episode AND other.id < one.id)
    ORDER BY one.id"""  # noqa: S608 - of constants
_MUTED: Final = f"""
    SELECT one.id, sink, next_at, {_ALERT}
    FROM deliveries JOIN alerts AS one ON one.id = deliveries.alert
    WHERE status = 'muted' ORDER BY one.id"""  # noqa: S608 - of constants
_PLAN: Final = """
    UPDATE deliveries SET status = ?, next_at = ?, finished_at = ?, detail = ?
    WHERE alert = ? AND sink = ?"""
#: The opening of the episode, held back from the sink.
_HELD: Final = """
    UPDATE deliveries SET status = ?, finished_at = ?, detail = ? WHERE status = ? AND sink = ?
      AND alert IN (SELECT id FROM alerts WHERE episode = ? AND state = 'opened')"""


#: Status, next attempt, end and detail of a delivery.
_Plan = tuple[str, float, float | None, str]


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery whose time has come.

    Attributes:
        number: Number of the alert in the alert store.
        sink: Name of the sink.
        attempts: Made so far.
        alert: Alert to deliver.
        since: Unix seconds since when it could be told.
    """

    number: int
    sink: str
    attempts: int
    alert: Alert
    since: float


class Deliveries:
    """The deliveries in the alert store, for the one thread that delivers.

    Args:
        path: File of the alert store.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: object = None
        self._next = 0.0
        self._held: sqlite3.Connection | None = None
        self._held_file = 0

    def quiet(self, now: float) -> bool:
        """True if nothing was put in since the last call, and nothing is due.

        Costs two ``stat`` calls: the alert store is opened only when there is work.
        """
        seen = last_written(self._path)
        before, self._seen = self._seen, seen
        return seen == before and now < self._next

    def route(self, sinks: Iterable[Sink], now: float, mutes: Iterable[Mute] = ()) -> None:
        """Decide for each new alert who is to be told, and what is held back by a mute.

        Raises:
            sqlite3.Error: Nothing has changed.
        """
        if not self._path.exists():
            return
        self._hold()
        with opened(self._path) as store:
            new = store.execute(
                f"SELECT id, {COLUMNS} FROM alerts WHERE routed = 0 ORDER BY id LIMIT {_ROUTED}"  # noqa: S608
            ).fetchall()
            for number, *row in new:
                alert = alert_of(tuple(row))
                for sink in sinks:
                    if sink.wants(alert):
                        _add(store, number, alert, sink, holding(mutes, alert, now), now)
                store.execute("UPDATE alerts SET routed = 1 WHERE id = ?", (number,))

    def release(self, sinks: Mapping[str, Sink], mutes: Iterable[Mute], now: float) -> None:
        """Have told what no mute holds back any more, and follow mutes that have changed.

        Raises:
            sqlite3.Error: Nothing has changed.
        """
        if not self._path.exists():
            return
        with opened(self._path) as store:
            for number, sink, until, *row in store.execute(_MUTED).fetchall():
                alert = alert_of(tuple(row))
                mute = holding(mutes, alert, now)
                if mute is None:
                    store.execute(
                        "UPDATE deliveries SET released_at = ? WHERE alert = ? AND sink = ?",
                        (now, number, sink),
                    )
                if mute is None or mute.until != until:
                    plan = _planned(store, alert, sinks[sink], mute, now)
                    store.execute(_PLAN, (*plan, number, sink))

    def due(self, now: float, busy: Collection[str]) -> list[Due]:
        """The deliveries that are due: at most one per sink, none for sinks that are busy.

        Raises:
            sqlite3.Error: The file cannot be read.
        """
        if not self._path.exists():
            return []
        found: dict[str, Due] = {}
        with opened(self._path) as store:
            self._next = min(_first(store, PENDING), _first(store, MUTED))
            for number, sink, attempts, released, *row in store.execute(_DUE, (now,)):
                if sink not in busy and sink not in found:
                    alert = alert_of(tuple(row))
                    since = max(alert.time, released)
                    found[sink] = Due(number, sink, attempts, alert, since)
        return list(found.values())

    def finish(self, due: Due, verdict: Verdict, now: float) -> None:
        """Write down how an attempt ended.

        Raises:
            sqlite3.Error: It is not written; the delivery will be attempted again.
        """
        finished = None if verdict.status == PENDING else now
        with opened(self._path) as store:
            store.execute(
                "UPDATE deliveries SET status = ?, attempts = ?, next_at = ?, finished_at = ?,"
                " detail = ? WHERE alert = ? AND sink = ?",
                (
                    verdict.status,
                    due.attempts + 1,
                    verdict.next_at,
                    finished,
                    verdict.detail,
                    due.number,
                    due.sink,
                ),
            )
            if verdict.status == FAILED:  # the end of an alert is told only where its beginning was
                store.execute(
                    "UPDATE deliveries SET status = ?, finished_at = ?, detail = ?"
                    " WHERE sink = ? AND status = ? AND alert IN"
                    " (SELECT id FROM alerts WHERE episode = ? AND state = 'closed')",
                    (SKIPPED, now, "its opening was not delivered", due.sink, PENDING,
                     due.alert.episode),
                )  # fmt: skip

    def close(self) -> None:
        """Close the file."""
        if self._held is not None:
            self._held.close()
            self._held = None

    def _hold(self) -> None:
        """Keep a connection open, so that those that come and go do not fold the log each time.

        That takes them three syncs rather than one.
        """
        file = self._path.stat().st_ino
        if self._held is not None and self._held_file != file:
            self.close()  # it was set aside, and is another one now
        if self._held is None:
            held = sqlite3.connect(self._path)
            try:
                with healed(self._path):
                    held.execute("SELECT count(*) FROM sqlite_master").fetchall()
            except BaseException:
                held.close()
                raise
            self._held, self._held_file = held, file

    def abandon(self, known: Collection[str], now: float) -> None:
        """Give up what waits for sinks that the configuration no longer knows."""
        if not self._path.exists():
            return
        marks = ",".join("?" * len(known))
        with opened(self._path) as store:
            query = f"""
                UPDATE deliveries SET status = ?, finished_at = ?, detail = ?
                WHERE status IN (?, ?) AND sink NOT IN ({marks})"""  # noqa: S608 - placeholders
            gone = "there is no such sink any more"
            store.execute(query, (FAILED, now, gone, PENDING, MUTED, *known))


def _add(
    store: sqlite3.Connection, number: int, alert: Alert, sink: Sink, mute: Mute | None, now: float
) -> None:
    plan: _Plan
    if not alert.opened:
        why = "muted, and over before the mute was"
        held = store.execute(_HELD, (SKIPPED, now, why, MUTED, sink.name, alert.episode)).rowcount
        plan = (SKIPPED, now, now, why) if held else (PENDING, now, None, "")
    else:
        plan = _planned(store, alert, sink, mute, now)
    store.execute(
        "INSERT OR IGNORE INTO deliveries (status, next_at, finished_at, detail, alert, sink)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (*plan, number, sink.name),
    )


def _planned(
    store: sqlite3.Connection, alert: Alert, sink: Sink, mute: Mute | None, now: float
) -> _Plan:
    """Status, next attempt, end and detail of the delivery of what opens."""
    if mute is not None:
        until = datetime.fromtimestamp(mute.until, UTC)
        return MUTED, mute.until, None, f"muted by {mute.by} until {until:%Y-%m-%d %H:%M} UTC"
    since = now - sink.cooldown_seconds
    if sink.trigger and alert.kind != TEST and _asked(store, sink.name, alert.model, since):
        return SKIPPED, now, now, "asked for this model before, within the cool-down"
    return PENDING, now, None, ""


def _first(store: sqlite3.Connection, status: str) -> float:
    """When the next delivery of a status has something to do."""
    # The status is written out, so that the index of its rows is used.
    query = f"SELECT min(next_at) FROM deliveries WHERE status = '{status}'"  # noqa: S608 - constants
    return store.execute(query).fetchone()[0] or float("inf")


def _asked(store: sqlite3.Connection, sink: str, model: str, since: float) -> bool:
    row: Any = store.execute(_OPEN, (sink, model, TEST, since)).fetchone()
    return row is not None
