"""Turns findings into episodes: each is opened once and closed once, without flapping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penstock.monitoring.alerts.alert import Alert

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.monitoring.alerts.alert_store import AlertStore


@dataclass(frozen=True, slots=True)
class Finding:
    """The finding of one check.

    Attributes:
        model: Name of the model; empty for the server.
        subject: The checked subject.
        bad: Whether it is bad now.
        severity: Severity of the episode, if this opens one.
        summary: One sentence with the figures.
        evidence: The figures.
    """

    model: str
    subject: str
    bad: bool
    severity: str
    summary: str
    evidence: Mapping[str, Any]


class EpisodeTracker:
    """Tracks episodes of one kind, also those that an earlier incarnation has opened.

    An episode opens with a bad finding, and closes when all findings were good for
    `close_seconds`.

    Args:
        alert_store: Takes the alerts.
        kind: Kind of the alerts.
        close_seconds: Seconds of good findings that close an episode.
    """

    def __init__(self, alert_store: AlertStore, kind: str, close_seconds: float) -> None:
        self._alert_store = alert_store
        self._kind = kind
        self._close_seconds = close_seconds
        self._open: dict[tuple[str, str], Alert] | None = None
        self._good_since: dict[tuple[str, str], float] = {}

    def update(self, finding: Finding, now: float) -> None:
        """Take a finding, and open or close its episode.

        Raises:
            sqlite3.Error: The alert could not be stored; the next finding tries again.
        """
        if self._open is None:
            episodes = self._alert_store.open_episodes(self._kind)
            self._open = {(one.model, one.subject): one for one in episodes}
        key = finding.model, finding.subject
        before = self._open.get(key)
        if finding.bad:
            self._good_since.pop(key, None)
            if before is None:
                alert = self._alert(finding, finding.severity, now)
                self._alert_store.put(alert)
                self._open[key] = alert
        elif before is not None:
            since = self._good_since.setdefault(key, now)
            if now - since >= self._close_seconds:
                self._alert_store.put(self._alert(finding, before.severity, now, before.episode))
                del self._open[key], self._good_since[key]

    def forget(self, known: set[tuple[str, str]], summary: str, now: float) -> None:
        """Close the episodes of subjects that no longer exist.

        Args:
            known: Model and subject of all existing subjects.
            summary: The reason, for the alerts.
            now: Unix seconds.
        """
        for model, subject in set(self._open or ()) - known:
            self.update(Finding(model, subject, bad=False, severity="info", summary=summary,
                              evidence={}), now)  # fmt: skip

    def _alert(self, finding: Finding, severity: str, now: float, episode: str = "") -> Alert:
        name = "/".join(one for one in (self._kind, finding.model, finding.subject) if one)
        return Alert(
            kind=self._kind,
            model=finding.model,
            version="",
            subject=finding.subject,
            severity=severity,
            opened=not episode,
            episode=episode or f"{name}/{int(now * 1000)}",
            time=now,
            summary=finding.summary,
            evidence=finding.evidence,
        )
