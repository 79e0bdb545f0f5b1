"""The labels of one version in the database, as the votes ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .label import class_name
from .labelling import HourlyLabels
from .traffic import HOUR
from .votes import Due

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from .outputs import Floats

#: The latest labels whose delays are looked at.
MOST_DELAYS: Final = 5_000
#: Labels of one answer, and those of the same moment as its last one.
MOST_DUE: Final = 20_000

_OF: Final = "FROM labels WHERE slot IN ({}) AND loss IS NOT NULL"
#: Of one slot: so its index has the labels in the order of their arrival, and none is sorted.
_DELAYS: Final = (
    "SELECT number, received - predicted_at FROM labels INDEXED BY labels_arrived"
    " WHERE slot = ? AND loss IS NOT NULL ORDER BY number DESC LIMIT ?"
)
_FIRST: Final = f"SELECT min(predicted_at) {_OF}"
_SPAN: Final = f"{_OF} AND predicted_at > ? AND predicted_at <= ? AND received - predicted_at <= ?"
_LAST: Final = f"SELECT predicted_at {_SPAN} ORDER BY predicted_at LIMIT 1 OFFSET ?"
_DUE: Final = (
    'SELECT predicted_at, loss, unit, request_id, source, iif("right" IS NULL, NULL, predicted),'
    f' iif("right" IS NULL, NULL, coalesce(truth, label)) {_SPAN}'
    " ORDER BY predicted_at, request_id, idx, label_time DESC"
)
#: The time of a prediction is rounded down to its hour.
_LABELLED: Final = (
    "SELECT cast(predicted_at / 3600 AS INTEGER) AS hour, count(DISTINCT key) FROM labels"
    " WHERE slot IN ({}) AND loss IS NOT NULL AND predicted_at <= ?"
    " AND received - predicted_at <= ? GROUP BY hour"
)
_MADE: Final = (
    "SELECT hour, total(rows) FROM traffic WHERE slot IN ({}) GROUP BY hour ORDER BY hour"
)


class LabelQuery:
    """Implements `penstock.monitoring.feedback.votes.Labels`.

    Args:
        connection: To the labels.
        slots: Of the version, see `penstock.monitoring.feedback.slots`.
    """

    def __init__(self, connection: sqlite3.Connection, slots: Sequence[int]) -> None:
        self._connection = connection
        self._slots = list(slots)
        self._marks = ", ".join("?" * len(self._slots))

    def delays(self) -> Floats:
        """See `Labels.delays`."""
        found: list[tuple[int, float]] = []
        for slot in self._slots:
            found += self._connection.execute(_DELAYS, (slot, MOST_DELAYS))
        latest = sorted(found, reverse=True)[:MOST_DELAYS]
        return np.array([delay for _, delay in latest], float)

    def first(self) -> float:
        """See `Labels.first`."""
        ((found,),) = self._ask(_FIRST)
        return float(found or 0.0)

    def due(self, after: float, until: float, wait: float) -> Sequence[Due]:
        """See `Labels.due`."""
        for (last,) in self._ask(_LAST, after, until, wait, MOST_DUE):
            until = last
        rows = self._ask(_DUE, after, until, wait)
        return [
            Due(*row[:5], *(None if one is None else class_name(one) for one in row[5:]))
            for row in rows
        ]

    def by_hour(self, until: float, wait: float) -> HourlyLabels:
        """See `Labels.by_hour`."""
        labelled = dict(self._ask(_LABELLED, until, wait))
        first, last = min(labelled, default=0), until // HOUR
        made = [one for one in self._ask(_MADE) if first < one[0] < last]
        hours = np.array([hour for hour, _ in made], float)
        return HourlyLabels(
            hours,
            np.array([labelled.get(hour, 0) for hour, _ in made], float),
            np.array([rows for _, rows in made], float),
        )

    def _ask(self, query: str, *values: float) -> list[Any]:
        rows = self._connection.execute(query.format(self._marks), (*self._slots, *values))
        return rows.fetchall()
