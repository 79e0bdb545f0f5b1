"""Checks counters periodically: error budgets, data quality, and the health of the monitor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.monitoring.alerts.alert_store import AlertStore
from penstock.monitoring.alerts.reading import waiting_since
from penstock.monitoring.databases import asides, whole
from penstock.monitoring.metrics import layout

from .counter_window import CounterWindow
from .episode_tracker import EpisodeTracker
from .field_watch import FieldWatch
from .monitor_health import STEP_SECONDS, WINDOW_SECONDS, damaged_file, lost_rows, sink_down
from .slo_burn_rate import SPAN_SECONDS, answered, burn_rate
from .slo_burn_rate import STEP_SECONDS as BURN_STEP_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from penstock.monitoring.alerts.alerts_file import AlertsFile
    from penstock.monitoring.drift.learnt import LearntFaults
    from penstock.monitoring.metrics.merge import Merged
    from penstock.monitoring.samples.samples import BatchSample

#: Most models whose error budget is watched; with more models the busiest ones are.
MAX_MODELS: Final = 100

_CLOSE_SECONDS: Final = 600.0
_SAMPLES: Final = "samples"
_LOG: Final = "prediction log"
#: Reasons for dropping rows that the configuration asks for.
_INTENDED: Final = ("thinned", "off")
_LOG_LOSSES: Final = tuple(
    layout.LOG_DROPPED + place
    for place, reason in enumerate(layout.LOG_DROP_REASONS)
    if reason not in _INTENDED
)


class SelfWatch:
    """Checks every `STEP_SECONDS`, in the monitor's working thread.

    Args:
        figures: Reads the counters of all processes.
        alerts_path: File of the alert store.
        settings: The alerts file, which names the sinks.
        objective: Share of requests that are to be answered; 0 watches no error budget.
        learnt: Fault rates of baselines, and the present ones.
    """

    def __init__(
        self,
        figures: Callable[[], Merged],
        alerts_path: Path,
        settings: AlertsFile,
        objective: float,
        learnt: LearntFaults | None = None,
    ) -> None:
        self._figures = figures
        self._path = alerts_path
        self._settings = settings
        self._objective = objective
        self._due = 0.0
        self._budgets: dict[str, CounterWindow] = {}
        self._samples = CounterWindow(WINDOW_SECONDS, STEP_SECONDS, 2)
        self._log = CounterWindow(WINDOW_SECONDS, STEP_SECONDS, 2)
        alert_store = AlertStore(alerts_path)
        self._burning = EpisodeTracker(alert_store, "slo.burn", _CLOSE_SECONDS)
        self._fields = FieldWatch(alert_store, _CLOSE_SECONDS, learnt)
        self._degraded = EpisodeTracker(alert_store, "monitor.degraded", _CLOSE_SECONDS)

    def take(self, samples: Sequence[BatchSample]) -> None:
        """Ignore samples."""

    def tick(self, now: float) -> None:
        """Check, if it is time."""
        if now < self._due:
            return
        self._due = now + STEP_SECONDS
        merged = self._figures()
        self._look_at_budgets(merged, now)
        self._fields.update(merged, now)
        self._look_at_samples(merged, now)
        self._look_at_sinks(now)

    def close(self) -> None:
        """End; open episodes stay open for the next incarnation."""

    def _look_at_budgets(self, merged: Merged, now: float) -> None:
        if not self._objective:
            return
        totals: dict[str, list[int]] = {}
        for (model, _), slots in merged.blocks.items():
            if model and not model.startswith("_"):
                total = totals.setdefault(model, [0, 0])
                requests, errors = answered(slots)
                total[0] += requests
                total[1] += errors
        busiest = sorted(totals, key=lambda model: -totals[model][0])[:MAX_MODELS]
        for model in set(self._budgets) - set(busiest):
            del self._budgets[model]
        for model in busiest:
            window = self._budgets.setdefault(
                model, CounterWindow(SPAN_SECONDS, BURN_STEP_SECONDS, 2)
            )
            window.read(now, totals[model])
            self._burning.update(burn_rate(model, window, self._objective, now), now)
        there = {(model, "availability") for model in busiest}
        self._burning.forget(there, "no requests any more", now)

    def _look_at_samples(self, merged: Merged, now: float) -> None:
        rows, dropped = layout.SAMPLED_ROWS, layout.SAMPLED_ROWS_DROPPED
        self._samples.read(now, (merged.total(rows), merged.total(dropped)))
        self._degraded.update(lost_rows(_SAMPLES, self._samples, now), now)
        lost = sum(merged.total(slot) for slot in _LOG_LOSSES)
        self._log.read(now, (merged.total(layout.LOG_WRITTEN) + lost, lost))
        self._degraded.update(lost_rows(_LOG, self._log, now), now)

    def _look_at_sinks(self, now: float) -> None:
        waiting = whole(self._path, lambda: waiting_since(self._path))
        sinks = self._settings.current().sinks
        for name in sinks:
            self._degraded.update(sink_down(name, waiting.get(name), now), now)
        there = {("", f"sink {name}") for name in sinks} | {("", _SAMPLES), ("", _LOG)}
        there |= self._look_at_files(now)
        self._degraded.forget(there, "it is not there any more", now)

    def _look_at_files(self, now: float) -> set[tuple[str, str]]:
        """Report damaged files that were set aside; returns the checked subjects."""
        state = self._path.parent
        newest = {one.name: one for one in asides(state, state / "log")}
        for one in newest.values():
            self._degraded.update(damaged_file(one.name, one.path.name, one.time, now), now)
        return {("", f"file {name}") for name in newest}
