"""The label summaries of all versions in memory, made anew where labels have come."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.databases import content

from .evaluator import Evaluator
from .label_summary import LabelSummary, estimate_of, state_of
from .summary import LATEST

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

#: Figures of a slot that a summary depends on.
_TOLD: Final = ("labels", "accuracy", "loss", "not_comparable")
#: Versions that have a summary; those with the latest labels.
MOST: Final = 256
#: Of one slot: its index has the labels in the order of their arrival.
_NEWEST: Final = (
    "SELECT received FROM labels INDEXED BY labels_arrived WHERE slot = ?"
    " ORDER BY number DESC LIMIT 1"
)
_ROWS: Final = (
    'SELECT key, label_time, "right", loss, unit, request_id, predicted_at FROM labels'
    " WHERE slot = ? AND loss IS NOT NULL ORDER BY predicted_at DESC LIMIT ?"
)
_KIND: Final = "SELECT kind FROM slots WHERE id = ?"
_SUMMARIES: Final = (
    "SELECT model, version, slot, summary FROM summaries JOIN slots ON slots.id = slot"
    " ORDER BY slot DESC LIMIT ?"
)
_EVALUATOR: Final = "SELECT state FROM judges WHERE model = ? AND version = ?"


class LabelSummaries:
    """The summaries of all versions with labels. One thread.

    Attributes:
        changes: Number of changes so far.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], LabelSummary] = {}
        self._seen: dict[tuple[str, str], list[Any]] = {}
        self.changes = 0

    def load(self, connection: sqlite3.Connection) -> None:
        """Begin anew with what is on the disk.

        Raises:
            sqlite3.Error: The file cannot be read.
        """
        self._found.clear()
        self._seen.clear()
        self.changes += 1
        found: dict[tuple[str, str], dict[int, dict[str, Any]]] = {}
        with content():
            for model, version, slot, summary in connection.execute(_SUMMARIES, (MOST,)):
                found.setdefault((model, version), {})[slot] = json.loads(summary)
            for key, figures in reversed(found.items()):
                row = connection.execute(_EVALUATOR, key).fetchone()
                if row is not None:
                    self.look(connection, key, Evaluator.kept(row[0]), figures)

    def look(
        self,
        connection: sqlite3.Connection,
        key: tuple[str, str],
        evaluator: Evaluator,
        figures: Mapping[int, Mapping[str, Any]],
    ) -> None:
        """Make the summary of a version anew if its labels or its state are others.

        Args:
            connection: To the labels.
            key: Model and version.
            evaluator: Of the version.
            figures: By slot, as `penstock.monitoring.feedback.summary.summarise` gives them.
        """
        detector = evaluator.detector
        told = [{name: one[name] for name in _TOLD} for one in figures.values()]
        seen = [told, detector.state, detector.doubt]
        if not figures or self._seen.get(key) == seen:
            return
        rows: list[Any] = []
        for slot in figures:
            rows += connection.execute(_ROWS, (slot, LATEST))
        rows.sort(key=lambda row: -row[-1])
        (kind,) = connection.execute(_KIND, (max(figures),)).fetchone()
        figure, estimate = estimate_of(kind, rows[:LATEST], evaluator.options.largest_error)
        for known in (self._seen, self._found):
            known.pop(key, None)
        self._seen[key] = seen
        self._found[key] = LabelSummary(
            state_of(estimate, detector.state, detector.doubt),
            sum(one["labels"] for one in told),
            sum(one["not_comparable"] for one in told),
            figure,
            estimate,
            max(connection.execute(_NEWEST, (slot,)).fetchone()[0] for slot in figures),
            detector.doubt,
        )
        self.changes += 1
        if len(self._found) > MOST:
            oldest = next(iter(self._found))
            del self._found[oldest], self._seen[oldest]

    def by_version(self) -> dict[tuple[str, str], LabelSummary]:
        """The summary of each model and version that has labels."""
        return dict(self._found)
