"""The drift monitor, put together for the monitor process."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from penstock.monitoring.alerts.alert_store import AlertStore
from penstock.monitoring.drift.consumer import DriftConsumer
from penstock.monitoring.drift.store import WindowStore
from penstock.monitoring.mended import Mended
from penstock.monitoring.probability import is_available, what_to_install
from penstock.server.drift.versions import WINDOWS, TargetVersions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from penstock.monitoring.drift.learnt import LearntFaults

LOG = logging.getLogger("penstock.drift")


def drift_consumers(
    target: Path, state: Path, registry: Path, learnt: LearntFaults, clock: Callable[[], float]
) -> list[Mended[DriftConsumer]]:
    """The consumer of `drift_consumer`; none, and a warning in the log, if SciPy is missing."""
    if not is_available():
        LOG.warning("drift is not watched: %s", what_to_install())
        return []
    return [drift_consumer(target, state, registry, learnt, clock)]


def drift_consumer(
    target: Path,
    state: Path,
    registry: Path,
    learnt: LearntFaults | None = None,
    clock: Callable[[], float] = time.time,
) -> Mended[DriftConsumer]:
    """The consumer, which begins a new file if its own is damaged.

    Args:
        target: File of the last target.
        state: ``state_dir/monitor``.
        registry: Where versions are published.
        learnt: Counts inputs that are not as the baseline taught.
        clock: Unix seconds.
    """
    versions = TargetVersions(target, state, registry, clock)
    alert_store = AlertStore(state / "alerts.db")
    path = state / WINDOWS

    def make() -> DriftConsumer:
        store = WindowStore(path)
        try:
            return DriftConsumer(store, versions, alert_store.put, learnt=learnt)
        except BaseException:
            store.close()
            raise

    return Mended(make, path, clock)
