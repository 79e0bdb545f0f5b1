"""Alerts about rollouts: each record of a rollout's move becomes an alert in the alert store."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING, Final

from penstock.monitoring.alerts.alert import Alert
from penstock.server.rollout.phase import Phase

if TYPE_CHECKING:
    from penstock.monitoring.alerts.alert_store import AlertStore
    from penstock.server.desired_state.audit_record import AuditRecord

LOG = logging.getLogger("penstock.rollout")

#: The severity of an alert by the phase that was reached.
SEVERITIES: Final = {
    Phase.HELD: "warning",
    Phase.AWAITING_PROMOTION: "info",
    Phase.WATCHING: "info",
    Phase.PROMOTED: "info",
    Phase.ABORTED: "critical",
    Phase.FINISHED: "info",
}
#: Records of the last incarnation that are written again: its last alerts may be missing.
LAST: Final = 8
#: Most alerts that wait for a slow disk.
_MAX_WAITING: Final = 256


class RolloutAlerts:
    """Writes alerts into the alert store, off the event loop.

    Args:
        alert_store: Takes each alert once.
    """

    def __init__(self, alert_store: AlertStore) -> None:
        self._alert_store = alert_store
        self._waiting: deque[AuditRecord] = deque(maxlen=_MAX_WAITING)
        self._loop = asyncio.get_running_loop()
        self._more = asyncio.Event()
        self._more.set()

    def add_past(self, record: AuditRecord) -> None:
        """Take a record of an earlier incarnation, in order, before `run`."""
        if _alert_of(record) is not None:
            self._waiting.append(record)
            if len(self._waiting) > LAST:
                self._waiting.popleft()

    def add(self, record: AuditRecord) -> None:
        """Take a record of the audit log; from any thread."""
        if _alert_of(record) is not None:
            self._waiting.append(record)
            self._loop.call_soon_threadsafe(self._more.set)

    async def run(self) -> None:
        """Write alerts until cancelled."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self._waiting:
                record = self._waiting.popleft()
                try:
                    alert = alert_of(record)
                    if alert is not None:
                        await asyncio.to_thread(self._alert_store.put, alert)
                except (sqlite3.Error, OSError) as error:
                    LOG.warning("the alert of record %d is lost: %s", record.seq, error)
                except Exception:  # an error with one record must not stop the others
                    LOG.exception("record %d makes no alert", record.seq)


def _alert_of(record: AuditRecord) -> Alert | None:
    """The alert of a record; a record that cannot be read is logged and skipped."""
    try:
        return alert_of(record)
    except Exception:
        LOG.exception("record %d makes no alert", record.seq)
        return None


def alert_of(record: AuditRecord) -> Alert | None:
    """The alert of a record; ``None`` if nobody needs to know."""
    event = record.event
    about = event.evidence.get("rollout")
    was = event.before.get("phase") if isinstance(event.before, dict) else None
    if not isinstance(about, dict) or about.get("phase") in {None, was}:
        return None
    try:
        phase = Phase(about["phase"])
    except ValueError:
        return None
    if phase not in SEVERITIES:
        return None
    version = str(event.evidence.get("version", ""))
    return Alert(
        kind=f"rollout.{phase}",
        model=event.model,
        version=version,
        subject=str(about.get("id", "")),
        severity=SEVERITIES[phase],
        opened=True,
        episode=f"{about.get('id', '')}:{record.seq}",
        time=datetime.fromisoformat(record.time).timestamp(),
        summary=f"{event.model} version {version}: {phase}: {event.reason or event.action}",
        evidence=about,
    )
