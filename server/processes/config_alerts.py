"""Tells people of a ``model.toml`` that cannot be used, and when it has been corrected."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from typing import TYPE_CHECKING, Final

from penstock.monitoring.alerts.alert import Alert
from penstock.server.registry.repository import MODEL_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from penstock.monitoring.alerts.outbox import Outbox

    from .planner import Findings

LOG = logging.getLogger("penstock.planner")

KIND: Final = "registry.config"
#: Models of which one alert each is told; a registry with more faults than this has one cause.
_MOST: Final = 100
_RETRY_SECONDS: Final = 30.0


class ConfigAlerts:
    """Hands alerts to the outbox, off the event loop: one episode for each model.

    Args:
        outbox: Takes each alert once; it says which episodes an earlier life left open.
        clock: Unix seconds.
    """

    def __init__(self, outbox: Outbox, clock: Callable[[], float] = time.time) -> None:
        self._outbox = outbox
        self._clock = clock
        self._wanted: dict[str, str] | None = None
        self._open: dict[str, Alert] | None = None
        self._more = asyncio.Event()

    def note(self, findings: Findings) -> None:
        """Take what a look at the registry found."""
        self._wanted = faults(findings)
        self._more.set()

    async def run(self) -> None:
        """Tell until cancelled; what cannot be told now is told later."""
        while True:
            await self._more.wait()
            self._more.clear()
            try:
                await asyncio.to_thread(self._tell)
            except (sqlite3.Error, OSError) as error:
                LOG.warning("alerts of configurations wait: %s", error)
                asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._more.set)

    def _tell(self) -> None:
        if self._open is None:
            self._open = {one.model: one for one in self._outbox.open_episodes(KIND)}
        for alert in changes(self._open, self._wanted or {}, self._clock()):
            self._outbox.put(alert)
            if alert.opened:
                self._open[alert.model] = alert
            else:
                del self._open[alert.model]


def faults(findings: Findings) -> dict[str, str]:
    """By model, what is wrong with its ``model.toml``. Pure."""
    found = {
        one.path.parent.name: one.reason for one in findings.problems if one.path.name == MODEL_FILE
    }
    return dict(sorted(found.items())[:_MOST])


def changes(opened: Mapping[str, Alert], wanted: Mapping[str, str], now: float) -> list[Alert]:
    """The alerts that bring what is told in line with what is so. Pure.

    Args:
        opened: The alert that opened each model's episode.
        wanted: By model, what is wrong now.
        now: Unix seconds.
    """
    news = [
        Alert(
            KIND, model, "", MODEL_FILE, "warning",
            opened=True, episode=f"{KIND}:{model}:{now:.3f}", time=now, summary=reason[:1000],
        )
        for model, reason in wanted.items()
        if model not in opened
    ]  # fmt: skip
    over = [
        Alert(
            KIND, model, "", MODEL_FILE, "warning",
            opened=False, episode=one.episode, time=now, summary=f"{MODEL_FILE} of {model} is good",
        )
        for model, one in opened.items()
        if model not in wanted
    ]  # fmt: skip
    return news + over
