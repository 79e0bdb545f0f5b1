"""Alerts of what stands wrong until somebody mends it: one episode each, also over restarts.

There are two kinds: a ``model.toml`` that cannot be used, and a version that is out of service.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from penstock.monitoring.alerts.alert import Alert
from penstock.server.registry.repository import MODEL_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from penstock.monitoring.alerts.alert_store import AlertStore
    from penstock.server.registry.repository import Problem
    from penstock.server.target.plan import ModelPlan


LOG = logging.getLogger("penstock.planner")

#: Of one kind that are told; a registry with more faults than this has one cause.
_MOST: Final = 100
_RETRY_SECONDS: Final = 30.0

#: Model and version; the version is empty where the alert is about the whole model.
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class StandingKind:
    """A kind of alerts, with the properties that all its alerts share.

    Attributes:
        name: As `Alert.kind` has it.
        subject: As `Alert.subject` has it.
        severity: As `Alert.severity` has it.
        over: Sentence at the end of an episode; ``{model}`` and ``{version}`` are filled in.
    """

    name: str
    subject: str
    severity: str
    over: str


CONFIG: Final = StandingKind(
    "registry.config", MODEL_FILE, "warning", f"{MODEL_FILE} of {{model}} is good"
)
QUARANTINE: Final = StandingKind(
    "registry.quarantine",
    "",
    "critical",
    "version {version} of {model} is no longer kept out of service",
)


class StandingAlerts:
    """Writes the alerts of one kind into the alert store, off the event loop.

    Args:
        alert_store: Takes each alert once; it says which episodes an earlier life left open.
        kind: Kind of the alerts.
        clock: Unix seconds.
    """

    def __init__(
        self, alert_store: AlertStore, kind: StandingKind, clock: Callable[[], float] = time.time
    ) -> None:
        self._alert_store = alert_store
        self._kind = kind
        self._clock = clock
        self._wanted: dict[Key, str] | None = None
        self._open: dict[Key, Alert] | None = None
        self._more = asyncio.Event()

    def note(self, wanted: Mapping[Key, str]) -> None:
        """Take what is wrong now, and why; each call replaces the one before."""
        if wanted != self._wanted:
            self._wanted = dict(wanted)
            self._more.set()

    async def run(self) -> None:
        """Tell until cancelled; what cannot be told now is told later."""
        while True:
            await self._more.wait()
            self._more.clear()
            try:
                await asyncio.to_thread(self._tell)
            except (sqlite3.Error, OSError) as error:
                LOG.warning("alerts of kind %s wait: %s", self._kind.name, error)
                asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._more.set)

    def _tell(self) -> None:
        if self._open is None:
            told = self._alert_store.open_episodes(self._kind.name)
            self._open = {(one.model, one.version): one for one in told}
        wanted = dict(sorted((self._wanted or {}).items())[:_MOST])
        for alert in changes(self._kind, self._open, wanted, self._clock()):
            self._alert_store.put(alert)
            if alert.opened:
                self._open[alert.model, alert.version] = alert
            else:
                del self._open[alert.model, alert.version]


def config_faults(problems: Iterable[Problem]) -> dict[Key, str]:
    """By model, what is wrong with its ``model.toml``. Pure."""
    return {
        (one.path.parent.name, ""): one.reason for one in problems if one.path.name == MODEL_FILE
    }


def kept_out(models: Mapping[str, ModelPlan]) -> dict[Key, str]:
    """By model and version, why a version is out of service. Pure."""
    return {
        (model, str(version)): reason
        for model, plan in models.items()
        for version, reason in plan.quarantined.items()
    }


def changes(
    kind: StandingKind, opened: Mapping[Key, Alert], wanted: Mapping[Key, str], now: float
) -> list[Alert]:
    """The alerts that bring what is told in line with what is so. Pure.

    Args:
        kind: Kind of the alerts.
        opened: The alert that opened each episode.
        wanted: Present faults with their reasons.
        now: Unix seconds.
    """
    news = [
        Alert(
            kind.name, model, version, kind.subject, kind.severity,
            opened=True, episode=f"{kind.name}:{model}:{version}:{now:.3f}", time=now,
            summary=reason[:1000],
        )
        for (model, version), reason in wanted.items()
        if (model, version) not in opened
    ]  # fmt: skip
    over = [
        Alert(
            kind.name, model, version, kind.subject, kind.severity,
            opened=False, episode=one.episode, time=now,
            summary=kind.over.format(model=model, version=version),
        )
        for (model, version), one in opened.items()
        if (model, version) not in wanted
    ]  # fmt: skip
    return news + over
