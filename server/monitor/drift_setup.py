"""The drift monitor, put together for the monitor process."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.monitoring.alerts.alert_store import AlertStore
from penstock.monitoring.drift.consumer import DriftConsumer
from penstock.monitoring.drift_summary.summaries import DriftSummaries
from penstock.monitoring.drift_summary.summarised_store import SummarisedStore
from penstock.monitoring.mended import Mended
from penstock.monitoring.probability import is_available, what_to_install
from penstock.server.drift.versions import WINDOWS, TargetVersions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from penstock.monitoring.drift.learnt import LearntFaults

LOG = logging.getLogger("penstock.drift")


@dataclass(frozen=True, slots=True)
class WatchedDrift:
    """The drift monitor.

    Attributes:
        consumers: Its consumer, which begins a new file if its own is damaged; none, and a warning
            in the log, if SciPy is missing.
        summaries: The drift summaries of all versions; ``None`` without a consumer.
    """

    consumers: list[Mended[DriftConsumer]]
    summaries: DriftSummaries | None = None


def watch_drift(
    target: Path,
    state: Path,
    registry: Path,
    learnt: LearntFaults | None = None,
    clock: Callable[[], float] = time.time,
) -> WatchedDrift:
    """The drift monitor of a server.

    Args:
        target: File of the last target.
        state: ``state_dir/monitor``.
        registry: Directory of the published versions.
        learnt: Counts inputs that are not as the baseline taught.
        clock: Unix seconds.
    """
    if not is_available():
        LOG.warning("drift is not watched: %s", what_to_install())
        return WatchedDrift([])
    versions = TargetVersions(target, state, registry, clock)
    summaries = DriftSummaries(versions.options)
    alert_store = AlertStore(state / "alerts.db")
    path = state / WINDOWS

    def make() -> DriftConsumer:
        store = SummarisedStore(path, summaries)
        try:
            return DriftConsumer(store, versions, alert_store.put, learnt=learnt)
        except BaseException:
            store.close()
            raise

    return WatchedDrift([Mended(make, path, clock)], summaries)
