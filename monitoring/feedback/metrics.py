"""Feedback as Prometheus metrics, from the summaries that the monitor writes."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from penstock.monitoring.databases import content

from .outputs import CLASSIFICATION
from .schema import FEEDBACK_FILE, open_to_read

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from prometheus_client import Metric

#: Versions and arms with series of their own; those with the latest labels.
MOST_SERIES: Final = 256
_LABELS: Final = ("model", "version", "arm")
#: Segments of all versions that have series; those with most labels of each come first.
MOST_SEGMENTS: Final = 1024
_SEGMENT: Final = (*_LABELS, "field", "segment")
_SUMMARIES: Final = (
    "SELECT model, version, arm, kind, summary FROM summaries JOIN slots ON slots.id = slot"
    " ORDER BY slot DESC LIMIT ?"
)
_EVALUATORS: Final = "SELECT model, version, state FROM judges LIMIT ?"


class FeedbackCollector(Collector):
    """Collects metrics of labels and quality, by version and arm.

    Args:
        state: ``state_dir/monitor``.
    """

    def __init__(self, state: Path) -> None:
        self._path = state / FEEDBACK_FILE
        self._found: tuple[list[Any], list[Any], list[Any]] = ([], [], [])

    def describe(self) -> Iterator[Metric]:
        """No families: the registry must not read the file when it is built."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """All families."""
        outcomes, summaries, evaluators = self._read()
        feedback = CounterMetricFamily(
            "penstock_feedback", "Labels received, by what became of them.", labels=["outcome"]
        )
        for outcome, count in outcomes:
            feedback.add_metric([outcome], count)
        yield feedback
        labels = CounterMetricFamily(
            "penstock_labels", "Labels that were joined with a prediction.", labels=_LABELS
        )
        gauges = {
            "not_comparable": GaugeMetricFamily(
                "penstock_labels_not_comparable",
                "Labels on disk that are no class of the model, or no number where it gives them.",
                labels=_LABELS,
            ),
            "accuracy": GaugeMetricFamily(
                "penstock_accuracy", "Of the latest labelled predictions.", labels=_LABELS
            ),
            "loss": GaugeMetricFamily(
                "penstock_mean_absolute_error",
                "Of the latest labelled predictions of numbers.",
                labels=_LABELS,
            ),
            "delay_seconds": GaugeMetricFamily(
                "penstock_label_delay_seconds",
                "From a prediction to its label, mean of the latest.",
                labels=_LABELS,
            ),
            "coverage": GaugeMetricFamily(
                "penstock_label_coverage", "Labels per prediction that was kept.", labels=_LABELS
            ),
        }
        segments = _SegmentFamilies()
        for model, version, arm, kind, found in summaries:
            summary = dict(found)
            segments.add([model, version, arm], summary.pop("segments", ()), kind)
            where = [model, version, arm]
            labels.add_metric(where, summary["labels"])
            if summary["predictions"]:
                summary["coverage"] = summary["labels"] / summary["predictions"]
            summary.pop("loss" if kind == CLASSIFICATION else "accuracy")
            for name, family in gauges.items():
                if summary.get(name) is not None:
                    family.add_metric(where, summary[name])
        yield from (labels, *gauges.values(), *segments.families, *_changes(evaluators))

    def _read(self) -> tuple[list[Any], list[Any], list[Any]]:
        try:
            connection = open_to_read(self._path)
            if connection is not None:
                with closing(connection), content():
                    execute = connection.execute
                    self._found = (
                        execute("SELECT * FROM outcomes").fetchall(),
                        [_decoded(one) for one in execute(_SUMMARIES, (MOST_SERIES,))],
                        [_decoded(one) for one in execute(_EVALUATORS, (MOST_SERIES,))],
                    )
        except sqlite3.Error:
            pass  # it is just being made, or the disk is gone: what was known is shown
        return self._found


class _SegmentFamilies:
    """The figures of segments of the latest labelled predictions."""

    def __init__(self) -> None:
        self._left = MOST_SEGMENTS
        self._labels = GaugeMetricFamily(
            "penstock_segment_labels", "Of the latest labels, by segment.", labels=_SEGMENT
        )
        self._accuracy = GaugeMetricFamily(
            "penstock_segment_accuracy",
            "Of the latest labelled predictions, by segment.",
            labels=_SEGMENT,
        )
        self._error = GaugeMetricFamily(
            "penstock_segment_mean_absolute_error",
            "Of the latest labelled predictions of numbers, by segment.",
            labels=_SEGMENT,
        )

    @property
    def families(self) -> tuple[Metric, ...]:
        """All families."""
        return self._labels, self._accuracy, self._error

    def add(self, where: list[str], segments: Sequence[Any], kind: str) -> None:
        """Add the segments of a version, as many as there is room for."""
        chosen, classes = segments[: self._left], kind == CLASSIFICATION
        self._left -= len(chosen)
        for field, segment, labels, accuracy, loss in chosen:
            place = [*where, field, segment]
            self._labels.add_metric(place, labels)
            (self._accuracy if classes else self._error).add_metric(
                place, accuracy if classes else loss
            )


def _decoded(row: Any) -> tuple[Any, ...]:
    """A row whose last column is JSON."""
    return (*row[:-1], json.loads(row[-1]))


def _changes(evaluators: list[Any]) -> Iterator[Metric]:
    alarm = GaugeMetricFamily(
        "penstock_performance_alarm",
        "1 while a version is worse than its reference.",
        labels=_LABELS[:2],
    )
    rate = GaugeMetricFamily(
        "penstock_performance_reference",
        "Share of bad predictions that a version is compared with.",
        labels=_LABELS[:2],
    )
    for model, version, state in evaluators:
        detector = state["detector"]
        alarm.add_metric([model, version], float(detector["state"] == "alarm"))
        known, bad = detector["reference"]
        if known:
            rate.add_metric([model, version], bad / known)
    yield from (alarm, rate)
