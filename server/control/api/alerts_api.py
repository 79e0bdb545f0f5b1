"""Alerts on the admin port: what is open, who was told, and a test of a sink."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from typing import TYPE_CHECKING, Final

from penstock.monitoring.alerts.alert import Alert
from penstock.monitoring.alerts.alert_store import AlertStore
from penstock.monitoring.alerts.reading import read_alerts
from penstock.monitoring.alerts.sink import TEST
from penstock.server.auth.tokens import OBSERVE, OPERATE
from penstock.server.errors import NotFound, Unavailable

from . import wire
from .openapi import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from penstock.monitoring.alerts.alerts_file import AlertsFile

    from .routes import Handler

#: Alerts in one answer at most, and when nothing is said.
MAX_LIMIT: Final = 1000
_LIMIT: Final = 50

_SHOW: Final = Endpoint(
    "GET", "/admin/alerts", "alerts", "What is wrong, since when, and who was told", OBSERVE,
    (
        ("limit", f"At most so many, newest first; {_LIMIT} by default, {MAX_LIMIT} at most."),
        ("model", "Only of this model."),
        ("open", "true: only of episodes that are not over."),
    ),
)  # fmt: skip
_TEST: Final = Endpoint(
    "POST", "/admin/alerts/test/{sink}", "test_alert", "Tell a sink of a test", OPERATE
)


class AlertsApi:
    """Its endpoints and who answers them.

    Args:
        alerts_path: File of the alert store.
        settings: Settings of the alerts file.
        clock: Unix seconds.
    """

    def __init__(
        self, alerts_path: Path, settings: AlertsFile, clock: Callable[[], float] = time.time
    ) -> None:
        self._path = alerts_path
        self._settings = settings
        self._clock = clock

    def handlers(self) -> dict[Endpoint, Handler]:
        """For `AdminApp`."""
        return {_SHOW: self._show, _TEST: self._test}

    async def _show(self, request: Request, _: str) -> Response:
        limit = wire.limit_of(request, _LIMIT, MAX_LIMIT)
        only_open = wire.asked(request, "open")
        model = request.query_params.get("model", "")

        def read() -> list[object]:
            told = read_alerts(self._path, limit, model=model, only_open=only_open)
            return [one.to_json() for one in told]

        try:
            alerts = await asyncio.to_thread(read)
        except sqlite3.Error as error:
            raise Unavailable(f"the alerts cannot be read: {error}") from error
        return wire.answer({"alerts": alerts, "sinks": sorted(self._settings.current().sinks)})

    async def _test(self, request: Request, actor: str) -> Response:
        sink = request.path_params["sink"]
        sinks = await asyncio.to_thread(self._settings.current)
        if sink not in sinks.sinks:
            known = ", ".join(sorted(sinks.sinks))
            raise NotFound(f"there is no sink {sink!r}; there are {known}")
        now = self._clock()
        alert = Alert(
            kind=TEST,
            model="",
            version="",
            subject=sink,
            severity="info",
            opened=True,
            episode=f"{TEST}/{sink}/{int(now * 1000)}",
            time=now,
            summary=f"this is a test of the sink {sink}, sent by {actor}; nothing is wrong",
        )

        def put() -> None:
            alerts_path = AlertStore(self._path)
            alerts_path.put(alert)

        try:
            await asyncio.to_thread(put)
        except sqlite3.Error as error:
            raise Unavailable(f"the alert cannot be written: {error}") from error
        return wire.answer({"sink": sink, "episode": alert.episode})
