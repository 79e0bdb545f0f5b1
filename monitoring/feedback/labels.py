"""Labels on disk: the newest of each request, row and source; replaced labels are history."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .prediction_table import make_keys

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from .evaluator import Verdict
    from .label import Label

    #: Number, key, label; slot, prediction and its time once they are known.
    Kept = tuple[int, int, Any, int | None, Any, float | None]
    #: Number, slot, prediction, its time, its segments if they are known by now, and what the
    #: label says of it.
    Joined = tuple[int, int, Any, float, int | None, Verdict]

#: Outcomes of a label; the values of ``penstock_feedback_total``.
NEW, DUPLICATE, CORRECTED, OUTDATED = "new", "duplicate", "corrected", "outdated"
UNKNOWN: Final = "unknown"
#: Beside the others: the label is no class of the model, or no number where it gives numbers.
NOT_COMPARABLE: Final = "not_comparable"

_FIND: Final = (
    "SELECT number, label, label_time, received FROM labels"
    " WHERE request_id = ? AND idx = ? AND source = ?"
)
_ADD: Final = (
    "INSERT INTO labels (key, request_id, idx, source, label, label_time, received, unit)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_KEEP_OLD: Final = (
    "INSERT INTO history SELECT request_id, idx, source, label, label_time, received"
    " FROM labels WHERE number = ?"
)
_REPLACE: Final = (
    "UPDATE labels SET label = ?, label_time = ?, received = ?, unit = ? WHERE number = ?"
)
#: A later label that says the same: one in between that says otherwise is outdated.
_CONFIRM: Final = "UPDATE labels SET label_time = ? WHERE number = ?"
_HISTORY: Final = "INSERT INTO history VALUES (?, ?, ?, ?, ?, ?)"
_JOIN: Final = (
    'UPDATE labels SET slot = ?, predicted = ?, predicted_at = ?, "right" = ?, loss = ?,'
    " confidence = ?, true_score = ?, brier = ?, positive_score = ?, positive = ?, truth = ?,"
    " segment = coalesce(?, segment) WHERE number = ?"
)
_COUNT: Final = (
    "INSERT INTO outcomes VALUES (?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count"
)


class LabelStore:
    """The labels of one ``truth.db``. The caller begins and commits.

    Args:
        connection: Open for writing.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def write(self, labels: Sequence[Label], now: float) -> tuple[Counter[str], list[Kept]]:
        """Write labels.

        Args:
            labels: In the order of their arrival.
            now: Unix seconds.

        Returns:
            The number of each outcome, and the rows that are new or corrected.
        """
        keys = make_keys((one.request_id.encode() for one in labels), [one.index for one in labels])
        outcomes: Counter[str] = Counter()
        touched: dict[int, Kept] = {}
        for label, key in zip(labels, keys.view(np.int64).tolist(), strict=True):
            outcome, kept = self._write_one(label, key, now)
            outcomes[outcome] += 1
            if kept is not None:
                touched[kept[0]] = kept
        self.count(outcomes)
        return outcomes, list(touched.values())

    def _write_one(self, label: Label, key: int, now: float) -> tuple[str, Kept | None]:
        execute = self._connection.execute
        place = label.request_id, label.index, label.source
        known = execute(_FIND, place).fetchone()
        if known is None:
            added = execute(_ADD, (key, *place, label.label, label.time, now, label.unit))
            return NEW, (added.lastrowid or 0, key, label.label, None, None, None)
        number, value, time, _ = known
        if value == label.label and isinstance(value, str) == isinstance(label.label, str):
            if label.time > time:
                execute(_CONFIRM, (label.time, number))
            return DUPLICATE, None
        if label.time < time:
            execute(_HISTORY, (*place, label.label, label.time, now))
            return OUTDATED, None
        execute(_KEEP_OLD, (number,))
        execute(_REPLACE, (label.label, label.time, now, label.unit, number))
        return CORRECTED, self.rows([number])[0]

    def count(self, outcomes: Counter[str]) -> None:
        """Add to the totals."""
        self._connection.executemany(_COUNT, outcomes.items())

    def parked(self) -> list[tuple[int, int]]:
        """Number and key of every label whose prediction is not known yet."""
        query = "SELECT number, key FROM labels WHERE slot IS NULL ORDER BY number"
        return self._connection.execute(query).fetchall()

    def rows(self, numbers: Iterable[int]) -> list[Kept]:
        """These labels, in the order given."""
        query = (
            "SELECT number, key, label, slot, predicted, predicted_at FROM labels WHERE number = ?"
        )
        found = (self._connection.execute(query, (number,)).fetchone() for number in numbers)
        return [one for one in found if one is not None]

    def join(self, joined: Iterable[Joined]) -> None:
        """Write the predictions of labels, and the results of the comparison."""
        self._connection.executemany(
            _JOIN,
            (
                (
                    slot,
                    predicted,
                    predicted_at,
                    verdict.right,
                    verdict.loss,
                    verdict.confidence,
                    verdict.true_score,
                    verdict.brier,
                    verdict.positive_score,
                    verdict.positive,
                    verdict.truth,
                    segment,
                    number,
                )
                for number, slot, predicted, predicted_at, segment, verdict in joined
            ),
        )

    def give_up(self, before: float, most: int) -> list[int]:
        """Count parked labels as unknown and forget them: those that came before, or are too many.

        Returns:
            Their numbers.
        """
        query = (
            "DELETE FROM labels WHERE slot IS NULL AND (received < ? OR number <= (SELECT number"
            " FROM labels WHERE slot IS NULL ORDER BY number DESC LIMIT 1 OFFSET ?))"
            " RETURNING number"
        )
        found = self._connection.execute(query, (before, most)).fetchall()
        gone = [number for (number,) in found]
        if gone:
            self.count(Counter({UNKNOWN: len(gone)}))
        return gone

    def prune(self, before: float, max_rows: int) -> None:
        """Forget labels received before this time, and the oldest beyond so many rows."""
        execute = self._connection.execute
        execute("DELETE FROM labels WHERE slot IS NOT NULL AND received < ?", (before,))
        execute("DELETE FROM history WHERE received < ?", (before,))
        for table, column in (("labels", "number"), ("history", "rowid")):
            limit = f"SELECT {column} FROM {table} ORDER BY {column} DESC LIMIT 1 OFFSET ?"  # noqa: S608
            execute(f"DELETE FROM {table} WHERE {column} <= ({limit})", (max_rows,))  # noqa: S608
        execute("DELETE FROM traffic WHERE hour < ?", (int(before // 3600),))
