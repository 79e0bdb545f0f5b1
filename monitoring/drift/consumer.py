"""Watches every version for drift, in the monitor process: samples in, windows and alerts out."""

from __future__ import annotations

import logging
import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from penstock.monitoring.databases import content

from .alerts import GROWS, ROLLOUT_OVER, alerts_of
from .drift_state import DriftState
from .settling import enough
from .store import ClosedWindow, Key
from .window import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.monitoring.alerts.alert import Alert
    from penstock.monitoring.samples.samples import BatchSample

    from .known import KnownVersion
    from .learnt import LearntFaults
    from .options import DriftOptions
    from .store import WindowStore

LOG = logging.getLogger("penstock.drift")

#: Rows of a version that are counted together; a larger frame costs less for each row.
FRAME_ROWS: Final = 2048
#: Rows a second over all versions; of more, a part is looked at.
MOST_ROWS_PER_SECOND: Final = 100_000
#: Versions in arms that are watched at the same time.
MOST_STATES: Final = 256
#: Alerts kept while they cannot be written.
MOST_UNTOLD: Final = 1000
#: Arms that are over and need no other look.
MOST_ENDED: Final = 10_000
CHECKPOINT_SECONDS: Final = 10.0
LEARNER_SECONDS: Final = 300.0
#: Windows from which is learnt how much healthy ones vary.
MOST_MEASURED: Final = 1000
MAINTENANCE_SECONDS: Final = 3600.0
IDLE_SECONDS: Final = 7 * 86_400.0


class Versions(Protocol):
    """Facts about versions that the consumer needs from the server."""

    def options(self, model: str) -> DriftOptions:
        """The drift options of a model."""
        ...

    def known(self, model: str, version: str) -> KnownVersion:
        """Make the knowledge of a version and its baseline."""
        ...

    def is_over(self, model: str, version: str, arm: str) -> bool:
        """True if the rollout is over in which a version served an arm."""
        ...


@dataclass(slots=True)
class _Group:
    """Samples of one version in one arm that wait to be counted together."""

    drift_state: DriftState
    samples: list[BatchSample] = field(default_factory=list)
    rows: int = 0
    skipped: int = 0
    changed: bool = False
    last: float = 0.0


class DriftConsumer:
    """A `Consumer` of samples.

    Args:
        store: Store of windows.
        versions: Options and baselines.
        tell: Takes an alert; tried again later if SQLite cannot write it.
        most_rows_per_second: Of more rows a part is counted.
        learnt: Counts inputs that are not as the baseline taught.
    """

    def __init__(
        self,
        store: WindowStore,
        versions: Versions,
        tell: Callable[[Alert], object],
        most_rows_per_second: int = MOST_ROWS_PER_SECOND,
        learnt: LearntFaults | None = None,
    ) -> None:
        self._store = store
        self._versions = versions
        self._tell = tell
        self._most, self._learnt = most_rows_per_second, learnt
        with content():
            self._groups = {
                key: _Group(DriftState.from_dict(state))
                for key, state in store.drift_states().items()
                if state["window"] is not None
            }
        self._known: dict[tuple[str, str], KnownVersion] = {}
        self._ended: set[Key] = set()
        self._untold: list[Alert] = []
        self._seen = 0
        self._share = 1.0
        self._credit = 0.0
        self._ticked = self._saved = self._learners_saved = self._maintained = 0.0

    def take(self, samples: Sequence[BatchSample]) -> None:
        """Keep samples until there are enough to count them together."""
        for sample in samples:
            if sample.error or not sample.inputs:
                continue
            rows = sample.offsets[-1] - sample.offsets[0]
            self._seen += rows
            group = self._group(Key(sample.model, sample.version, sample.arm))
            if group is None:
                continue
            self._credit += self._share
            if self._credit < 1.0:
                group.skipped += rows
                continue
            self._credit -= 1.0
            group.samples.append(sample)
            group.rows += rows
            if group.rows >= FRAME_ROWS:
                self._count(Key(sample.model, sample.version, sample.arm), group)

    def tick(self, now: float) -> None:
        """Count what waits, close windows that are complete, and save."""
        elapsed = now - self._ticked
        if self._ticked and elapsed > 0:
            rate = self._seen / elapsed
            self._share = min(1.0, self._most / rate) if rate else 1.0
        self._seen, self._ticked = 0, now
        for key, group in self._groups.items():
            self._count(key, group)
        for (model, version), known in self._known.items():
            if known.refresh() or known.settle(now):
                LOG.info("model %s version %s: baseline %s", model, version, known.id or "none")
        self._tell_all()
        for key, group in list(self._groups.items()):
            window = group.drift_state.window
            if window is not None and window.complete(now, self._versions.options(key.model)):
                self._conclude(key, group)
        if now - self._saved >= CHECKPOINT_SECONDS:
            self._end_arms()
            self._save(now, learners=now - self._learners_saved >= LEARNER_SECONDS)
        if now - self._maintained >= MAINTENANCE_SECONDS:
            self._maintained = now
            self._store.maintain(now)
            self._forget_idle(now)

    def close(self) -> None:
        """Save everything."""
        for key, group in self._groups.items():
            self._count(key, group)
        self._save(self._saved, learners=True)
        self._store.close()

    def _group(self, key: Key) -> _Group | None:
        group = self._groups.get(key)
        if group is None and len(self._groups) < MOST_STATES:
            group = self._groups[key] = _Group(self._state_of(key))
        return group

    def _state_of(self, key: Key) -> DriftState:
        """The drift state of a key: from memory, from the disk, or new."""
        if key in self._groups:
            return self._groups[key].drift_state
        state = self._store.drift_state(key)
        with content():
            return DriftState() if state is None else DriftState.from_dict(state)

    def _end_arms(self) -> None:
        """End the episodes of arms whose rollout is over: no further window of them will."""
        self._ended -= self._groups.keys()
        for key in {*self._groups, *self._store.arms()} - self._ended:
            if not key.arm or not self._versions.is_over(*key):
                continue
            drift_state = self._state_of(key)
            self._groups.pop(key, None)
            if len(self._ended) < MOST_ENDED:
                self._ended.add(key)
            open_window = drift_state.window is not None
            changes = drift_state.rebase(drift_state.baseline)
            if changes or open_window:
                self._announce(alerts_of(key, changes, self._ticked, ROLLOUT_OVER))
                self._store.save({key: drift_state.to_dict()}, {})

    def _forget_idle(self, now: float) -> None:
        """Drop states without an open window that get no rows; they come back from the disk."""
        for key, group in list(self._groups.items()):
            group.last = group.last or now
            if group.drift_state.window is None and now - group.last > IDLE_SECONDS:
                del self._groups[key]
                self._known.pop((key.model, key.version), None)

    def _count(self, key: Key, group: _Group) -> None:
        """Count the waiting samples into the open window."""
        samples, group.samples = group.samples, []
        if not samples or not self._versions.options(key.model).drift:
            group.rows = group.skipped = 0
            return
        known = self._knowledge(key)
        rows = list(known.rows(samples))
        drift_state = group.drift_state
        if known.id and known.id != drift_state.baseline:
            self._announce(alerts_of(key, drift_state.rebase(known.id), self._ticked))
            if self._learnt is not None:
                self._learnt.forget(*key[:2])
            self._saved = 0.0  # readers must not see the old one
        drift_state.source, drift_state.problem = known.source, known.problem
        if rows:
            if drift_state.window is None:
                drift_state.window = Window.sketching(samples[0].time)
            window = drift_state.window
            window.rows += group.rows
            window.skipped += group.skipped
            window.end = group.last = max(window.end, samples[-1].time)
            drift_state.segments.count(samples, rows)
            window.sample.take([one for one in rows if len(one.values) == group.rows])
            groups = window.clients.take_samples(samples)
            for name, reference, values in rows:
                faults = window.add(name, reference, values, groups)
                if self._learnt is not None and not reference.output:
                    self._learnt.count(*key[:2], name, reference, len(values), faults)
        group.changed = True
        group.rows = group.skipped = 0

    def _knowledge(self, key: Key) -> KnownVersion:
        known = self._known.get(key[:2])
        if known is None:
            known = self._versions.known(*key[:2])
            with content():
                known.restore(self._store.learner(*key[:2]))
            self._known[key[:2]] = known
        return known

    def _conclude(self, key: Key, group: _Group) -> None:
        """Close the open window, compare it with the baseline and store it."""
        known, drift_state = self._knowledge(key), group.drift_state
        options = self._versions.options(key.model)
        window = drift_state.window
        assert window is not None
        if known.id != drift_state.baseline:
            self._announce(alerts_of(key, drift_state.rebase(known.id), self._ticked))
            return
        calibrating = not known.provisional and bool(drift_state.uncalibrated(known.references))
        healthy: list[Window] = []
        if (calibrating or known.provisional) and drift_state.due():
            healthy = self._store.of_version(key, drift_state.baseline, MOST_MEASURED)
            if calibrating:
                drift_state.calibrate(known.references, healthy, options)
        verdict = drift_state.conclude(known.references, options)
        closed = ClosedWindow(key, drift_state.baseline, verdict.state, window, verdict.findings)
        left = drift_state.all_episodes()
        self._announce(alerts_of(key, verdict.changes, self._ticked, GROWS, left, verdict.notes))
        self._store.put(closed, drift_state.to_dict())
        if known.provisional and enough([*healthy, window], options):
            known.finish([*healthy, window])
            changes = drift_state.rebase(known.id, settled=True)
            self._announce(alerts_of(key, changes, self._ticked))

    def _announce(self, alerts: list[Alert]) -> None:
        self._untold += alerts
        del self._untold[:-MOST_UNTOLD]
        self._tell_all()

    def _tell_all(self) -> None:
        """Hand over alerts; what cannot be taken now is handed over later."""
        while self._untold:
            try:
                self._tell(self._untold[0])
            except sqlite3.Error as error:
                LOG.warning("an alert could not be written: %s", error)
                return
            del self._untold[0]

    def _save(self, now: float, *, learners: bool) -> None:
        self._saved = now
        drift_states = {
            key: one.drift_state.to_dict() for key, one in self._groups.items() if one.changed
        }
        for group in self._groups.values():
            group.changed = False
        states = {}
        if learners:
            self._learners_saved = now
            states = {
                pair: {} if known.learner is None else known.learner.state()
                for pair, known in self._known.items()
            }
        if drift_states or states:
            self._store.save(drift_states, states)
