"""The open alerts that may start a retraining, read again when the alert store has changed."""

from __future__ import annotations

import logging
import sqlite3
import threading
from typing import TYPE_CHECKING

from penstock.monitoring.alerts.alert_store import AlertStore
from penstock.monitoring.alerts.mutes import MutesFile, holding
from penstock.monitoring.files.stamp import last_written
from penstock.server.retrain.decision import ALERTS, Incident

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.monitoring.alerts.alert import Alert

LOG = logging.getLogger("penstock.retrain")


class OpenIncidents:
    """All models' incidents. Blocking, and safe to use from threads.

    Args:
        database: File of the alert store.
        mutes: File of the mutes; what is muted starts nothing.
    """

    def __init__(self, database: Path, mutes: Path) -> None:
        self._database = database
        self._store = AlertStore(database)
        self._mutes = MutesFile(mutes)
        self._seen: object = None
        self._alerts: list[Alert] = []
        self._lock = threading.Lock()

    def of(self, model: str, now: float) -> tuple[Incident, ...]:
        """The incidents of a model that no mute holds now.

        Args:
            model: Name of the model.
            now: Unix seconds.
        """
        with self._lock:
            seen = last_written(self._database)
            if seen != self._seen:
                try:
                    self._alerts = [
                        one for kind in ALERTS for one in self._store.open_episodes(kind)
                    ]
                    self._seen = last_written(self._database)
                except sqlite3.Error as error:
                    LOG.warning("the open alerts cannot be read: %s", error)
            mutes = self._mutes.current()
            return tuple(
                Incident(one.kind, one.version, one.episode, one.summary, one.time)
                for one in self._alerts
                if one.model == model and holding(mutes, one, now) is None
            )
