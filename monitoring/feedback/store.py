"""The feedback store of the monitor: it keeps predictions, and joins them with their labels."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import numpy as np

from penstock.monitoring.databases import content

from .evaluator import Evaluator
from .label_query import LabelQuery
from .label_summaries import LabelSummaries
from .labels import NOT_COMPARABLE, LabelStore
from .outputs import CLASSIFICATION, read_predictions
from .prediction_table import PredictionTable, keys_of_rows
from .recent import Recent
from .schema import FEEDBACK_FILE, RECENT_FOLDER, identity, open_to_write
from .segment_ids import SegmentIds
from .slots import Slots
from .summary import summarise
from .traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from penstock.monitoring.samples.samples import BatchSample

    from .label import Label
    from .labels import Joined, Kept
    from .options import FeedbackOptions


_DAY: Final = 86_400.0
#: A label may come so long before its prediction is written down.
PARKED_SECONDS: Final = _DAY
#: Labels that wait so; the oldest give up when there are more.
MAX_PARKED: Final = 200_000
#: Between two writings of what is not asked for at once.
SAVE_SECONDS: Final = 10.0
_PRUNE_SECONDS: Final = 600.0


class FeedbackStore:
    """A consumer of samples, and the receiver of labels. One thread.

    Args:
        directory: ``STATE_DIR/monitor``.
        options: Options of a version, by the names of model and version.
        on_change: Called with model, version, evaluator, what `Votes.advance` tells, and now.
        max_rows: Most predictions, and most labels, that are kept.
        max_days: Days for which predictions and labels are kept.
        refresh: Called each second, before options are asked for.
        summaries: Are told of the labels of each version.

    Raises:
        sqlite3.Error: ``truth.db`` cannot be opened.
        OSError: A file cannot be read or written.
    """

    def __init__(
        self,
        directory: Path,
        options: Callable[[str, str], FeedbackOptions],
        on_change: Callable[[str, str, Evaluator, str, float], object],
        max_rows: int,
        max_days: float,
        refresh: Callable[[], object] = lambda: None,
        summaries: LabelSummaries | None = None,
    ) -> None:
        self._options = options
        self._on_change = on_change
        self._refresh = refresh
        self._summaries = LabelSummaries() if summaries is None else summaries
        self._max_rows = max_rows
        self._max_days = max_days
        self._connection = open_to_write(directory / FEEDBACK_FILE)
        try:
            self._begin(directory / RECENT_FOLDER)
        except BaseException:
            self._connection.close()
            raise

    def _begin(self, recent: Path) -> None:
        """Read what is there."""
        self._labels = LabelStore(self._connection)
        self._traffic = Traffic()
        self._recent = Recent(recent, self._max_rows, self._max_days * _DAY)
        self._recent.keep_only_of(identity(self._connection))
        self._changed: set[tuple[str, str]] = set()
        self._told: list[tuple[str, str, str]] = []
        self._saved_at = self._pruned_at = self._now = 0.0
        self._go_on()

    def take(self, samples: Sequence[BatchSample]) -> None:
        """See `penstock.monitoring.samples.consumer.Consumer`."""
        with self._transaction(samples[-1].time if samples else 0.0):
            for sample in samples:
                if sample.output_names and not sample.error:
                    self._take(sample)

    def tick(self, now: float) -> None:
        """See `penstock.monitoring.samples.consumer.Consumer`."""
        self._now = max(self._now, now)
        self._refresh()
        fresh = self._recent.flush(now)
        if fresh is not None and self._parked:
            self._join_parked(fresh, now)
        if self._traffic:
            with self._transaction(now):
                self._traffic.write(self._connection)
        if now - self._saved_at < SAVE_SECONDS:
            return
        self._saved_at = now
        with self._transaction(now):
            for key, slots in self._slots.by_version().items():
                voted, told = self._evaluator(*key).vote(LabelQuery(self._connection, slots), now)
                self._told += [(*key, change) for change in told]
                if voted:
                    self._changed.add(key)
            for key in self._changed:
                self._save_evaluator(key)
                figures = summarise(self._connection, *key)
                self._summaries.look(self._connection, key, self._evaluator(*key), figures)
            self._changed.clear()
            if now - self._pruned_at >= _PRUNE_SECONDS or len(self._parked) > MAX_PARKED:
                self._pruned_at = now
                for number in self._labels.give_up(now - PARKED_SECONDS, MAX_PARKED):
                    self._parked.pop(number, None)
                self._labels.prune(now - self._max_days * _DAY, self._max_rows)

    def feedback(self, labels: Sequence[Label], now: float) -> Counter[str]:
        """Keep labels and join those whose prediction is known; on disk when it returns.

        Returns:
            How many were new, duplicates, corrections and outdated; and how many of those that
            have met their prediction say nothing of it.

        Raises:
            sqlite3.Error: The disk; nothing was kept.
        """
        with self._transaction(now):
            outcomes, kept = self._labels.write(labels, now)
            if vain := self._join(kept, now):
                outcomes[NOT_COMPARABLE] = vain
        return outcomes

    def close(self) -> None:
        """See `penstock.monitoring.samples.consumer.Consumer`."""
        self._pruned_at = self._saved_at = float("-inf")
        self.tick(self._now)  # what is joined now is known now, and not since 1970
        self._connection.close()

    def _take(self, sample: BatchSample) -> None:
        offsets = sample.offsets
        counts = np.diff(np.asarray(offsets))
        rows = int(offsets[-1] - offsets[0])
        evaluator = self._evaluator(sample.model, sample.version)
        found = read_predictions(sample, evaluator.options)
        if found is None or not rows:
            return
        slot = self._slots.find(sample, found.kind)
        evaluator.learn(found)
        ids, times = sample.request_ids, sample.times
        values = found.values
        if found.kind == CLASSIFICATION:
            values = self._slots.classes(values)
        width = found.scores.shape[1]
        moments = np.repeat(np.asarray(times, float), counts)
        self._recent.add(
            PredictionTable(
                keys_of_rows(ids, counts),
                moments,
                np.asarray(values, float),
                np.full(rows, slot, np.uint32),
                self._segments.find(sample),
                np.arange(0, (rows + 1) * width, width, dtype=np.uint32)
                if width
                else np.zeros(rows + 1, np.uint32),
                np.ascontiguousarray(found.scores).reshape(-1),
            )
        )
        self._traffic.add(slot, sample.time, rows, found.scores)
        self._changed.add((sample.model, sample.version))

    def _join_parked(self, fresh: PredictionTable, now: float) -> None:
        numbers = np.fromiter(self._parked, np.int64, len(self._parked))
        keys = np.fromiter(self._parked.values(), np.int64, len(self._parked)).view(np.uint64)
        here = np.isin(keys, fresh.keys)
        if here.any():
            with self._transaction(now):
                self._join(self._labels.rows(numbers[here].tolist()), now)

    def _join(self, kept: Sequence[Kept], now: float) -> int:
        """Compare labels, new and corrected ones, with the predictions that are known.

        Returns:
            How many say nothing of their prediction, see `labels.NOT_COMPARABLE`.
        """
        if not kept:
            return 0
        tables, places, lines = self._recent.find(
            np.array([one[1] for one in kept], np.int64).view(np.uint64)
        )
        joined: list[Joined] = []
        for one, place, line in zip(kept, places.tolist(), lines.tolist(), strict=True):
            number, key, label, known, predicted, predicted_at = one
            table = tables[place] if place >= 0 else None
            if table is not None and not self._slots.knows(
                int(table.slots[line]), float(table.values[line])
            ):
                table = None  # a table that is damaged says nothing
            slot = known if table is None else int(table.slots[line])
            scores: list[float] = []
            segment: int | None = None
            if slot is None:
                self._parked[number] = key
                continue
            if table is not None and known in {None, slot}:
                predicted = self._slots.value(slot, float(table.values[line]))
                predicted_at = float(table.times[line])
                scores = table.scores_of(line).tolist()
                segment = int(table.segments[line])
            elif known is not None:
                slot = known  # a correction of a label whose prediction is forgotten by now
            with content():
                model, version, kind = self._slots.describe(slot)
            evaluator = self._evaluator(model, version)
            verdict = evaluator.evaluate(kind, predicted, scores, label)
            joined.append((number, slot, predicted, predicted_at or now, segment, verdict))
            self._parked.pop(number, None)
            self._changed.add((model, version))
            if known is None:
                evaluator.settle(verdict)
        self._labels.join(joined)
        vain = sum(one[-1].truth is None for one in joined)
        self._labels.count(Counter({NOT_COMPARABLE: vain} if vain else {}))
        for version_key in self._changed:
            self._save_evaluator(version_key)
        return vain

    def _evaluator(self, model: str, version: str) -> Evaluator:
        key = model, version
        evaluator = self._evaluators.get(key)
        options = self._options(model, version)
        if evaluator is None:
            query = "SELECT state FROM judges WHERE model = ? AND version = ?"
            row = self._connection.execute(query, key).fetchone()
            with content():
                evaluator = self._evaluators[key] = Evaluator.of(
                    options, None if row is None else row[0]
                )
        elif evaluator.options != options:
            if evaluator.options.expected_accuracy != options.expected_accuracy:
                evaluator.detector.outdated, evaluator.detector.doubt = True, ""
            evaluator.options = options
        return evaluator

    def _save_evaluator(self, key: tuple[str, str]) -> None:
        if key in self._evaluators:
            query = "INSERT OR REPLACE INTO judges VALUES (?, ?, ?)"
            self._connection.execute(query, (*key, self._evaluators[key].to_json()))

    def _go_on(self) -> None:
        """Remember what is on the disk, and nothing else."""
        with content():
            self._slots = Slots(self._connection)
            self._segments = SegmentIds(self._connection)
            self._evaluators: dict[tuple[str, str], Evaluator] = {}
            self._parked = dict(self._labels.parked())
            self._summaries.load(self._connection)

    @contextmanager
    def _transaction(self, now: float) -> Iterator[None]:
        """Commit all changes or none; listeners are called when the changes are on the disk."""
        self._now = max(self._now, now)
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            self._told.clear()
            with suppress(sqlite3.Error):  # it may have been rolled back already
                self._connection.execute("ROLLBACK")
            self._go_on()
            raise
        told, self._told = self._told, []
        for model, version, change in told:
            self._on_change(model, version, self._evaluator(model, version), change, now)
