"""Checks inputs against the declared rules of `model.toml`, or against the baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.monitoring.metrics import layout
from penstock.monitoring.quality.field_counters import DECLARED_SLOTS

from .counter_window import CounterWindow
from .episode_tracker import EpisodeTracker, Finding
from .input_quality import STEP_SECONDS, WINDOW_SECONDS, bad_values, unusual_values

if TYPE_CHECKING:
    from penstock.monitoring.alerts.alert_store import AlertStore
    from penstock.monitoring.drift.learnt import LearntFaults, LearntField
    from penstock.monitoring.metrics.merge import Merged

#: Most declared fields that are watched, over all models.
MAX_FIELDS: Final = 2000


class FieldWatch:
    """Episodes of the kind ``quality``: one per model and field, for declared and learnt rules.

    Args:
        alert_store: Takes the alerts.
        close_seconds: Seconds of good findings that close an episode.
        learnt: Fault rates of baselines; ``None`` if no consumer computes them.
    """

    def __init__(
        self, alert_store: AlertStore, close_seconds: float, learnt: LearntFaults | None
    ) -> None:
        self._episodes = EpisodeTracker(alert_store, "quality", close_seconds)
        self._learnt = learnt
        self._declared: dict[tuple[str, str], CounterWindow] = {}
        self._taught: dict[LearntField, CounterWindow] = {}

    def update(self, merged: Merged, now: float) -> None:
        """Check all fields.

        Args:
            merged: Counters of all processes.
            now: Unix seconds.
        """
        worst: dict[tuple[str, str], Finding] = {}
        for finding in (*self._of_declared(merged, now), *self._of_taught(now)):
            key = finding.model, finding.subject
            if key not in worst or (finding.bad and not worst[key].bad):
                worst[key] = finding
        for finding in worst.values():
            self._episodes.update(finding, now)
        self._episodes.forget(set(worst), "no such field any more", now)

    def _of_declared(self, merged: Merged, now: float) -> list[Finding]:
        rows: dict[str, int] = {}
        for (model, _), slots in merged.blocks.items():
            rows[model] = rows.get(model, 0) + slots[layout.BATCH_ROWS.total]
        faults: dict[tuple[str, str], int] = {}
        for (model, _, field), slots in merged.fields.items():
            if len(faults) < MAX_FIELDS or (model, field) in faults:
                found = faults.get((model, field), 0)
                faults[model, field] = found + sum(slots[:DECLARED_SLOTS])
        findings = []
        for key, count in faults.items():
            window = self._declared.get(key)
            if window is None:
                window = self._declared[key] = CounterWindow(WINDOW_SECONDS, STEP_SECONDS, 2)
            window.read(now, (rows.get(key[0], 0), count))
            findings.append(bad_values(*key, window, now))
        return findings

    def _of_taught(self, now: float) -> list[Finding]:
        fields = () if self._learnt is None else tuple(self._learnt.fields())
        # A field with a new baseline counts as a new field.
        there = set(fields)
        self._taught = {one: window for one, window in self._taught.items() if one in there}
        findings = []
        for one in fields:
            window = self._taught.get(one)
            if window is None:
                window = self._taught[one] = CounterWindow(WINDOW_SECONDS, STEP_SECONDS, 4)
                window.read(now - STEP_SECONDS, (0, 0, 0, 0))
            window.read(now, (one.rows, *one.faults))
            findings.append(unusual_values(one, window, now))
        return findings
