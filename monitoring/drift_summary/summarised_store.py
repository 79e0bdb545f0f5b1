"""A store of windows that tells the summaries in memory of each write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.monitoring.drift.store import WindowStore

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from penstock.monitoring.drift.store import ClosedWindow, Key

    from .summaries import DriftSummaries


class SummarisedStore(WindowStore):
    """The file, open for writing. One thread.

    Args:
        path: Path of the file; made if it is not there.
        summaries: Are told of what is on the disk.

    Raises:
        sqlite3.Error: It cannot be opened, or is damaged.
    """

    def __init__(self, path: Path, summaries: DriftSummaries) -> None:
        super().__init__(path)
        self._summaries = summaries
        try:
            summaries.load(path)
        except BaseException:
            self.close()
            raise

    def put(self, closed: ClosedWindow, drift_state: Mapping[str, Any]) -> None:
        """See `WindowStore.put`."""
        super().put(closed, drift_state)
        self._summaries.closed(closed, drift_state)

    def save(
        self,
        drift_states: Mapping[Key, Mapping[str, Any]],
        learners: Mapping[tuple[str, str], Mapping[str, Any]],
    ) -> None:
        """See `WindowStore.save`."""
        super().save(drift_states, learners)
        for (model, version), learner in learners.items():
            self._summaries.learnt(model, version, more=bool(learner))
        for key, drift_state in drift_states.items():
            self._summaries.saved(key, drift_state)
