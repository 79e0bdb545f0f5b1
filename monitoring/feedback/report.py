"""The quality report of a model's versions, read from ``truth.db`` by any process."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.monitoring.databases import content

from .estimate import ASSUMPTION, estimated_accuracy
from .evaluator import Evaluator
from .label import class_name
from .label_rows import newest_of, units_of
from .outputs import CLASSIFICATION
from .performance import CALIBRATION_BINS, Labelled, figures_of, measure, pick
from .schema import FEEDBACK_FILE, has_column, open_to_read
from .segment_ids import read_segments
from .segment_report import segmented, told
from .traffic import HOUR

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from numpy.typing import NDArray

    from .performance import Performance

#: Labels of one version and arm that figures are made of; the newest predictions.
MAX_LABELS: Final = 500_000
MAX_WINDOWS: Final = 400

_SLOTS: Final = "SELECT id, version, arm, kind FROM slots WHERE model = ? ORDER BY version, arm"
_FIGURES: Final = (
    "loss",
    '"right"',
    "confidence",
    "true_score",
    "brier",
    "positive_score",
    "positive",
    "predicted_at",
    "received",
)
_WHERE: Final = "WHERE slot = ? AND predicted_at >= ? AND predicted_at < ?"
#: The braces: `truth`, `unit` and `segment`, where the file has them.
_LABELS: Final = (
    f"SELECT key, label_time, {{}}, predicted, {{}}, {{}}, {', '.join(_FIGURES)} FROM labels"  # noqa: S608  our own names
    f" {_WHERE} AND loss IS NOT NULL ORDER BY predicted_at DESC LIMIT ?"
)
_VAIN: Final = (
    f"SELECT label, count(*) AS n FROM labels {_WHERE} AND loss IS NULL"  # noqa: S608  our own names
    " GROUP BY label ORDER BY n DESC, label"
)
#: Columns of `_LABELS` before the figures.
_FIRST: Final = 7
#: Labels and classes that are shown as examples.
MAX_EXAMPLES: Final = 5
_TRAFFIC: Final = (
    "SELECT hour, rows, confidence FROM traffic WHERE slot = ? AND hour BETWEEN ? AND ?"
)


@dataclass(frozen=True, slots=True)
class Span:
    """Which predictions: from `since` up to `until`, Unix seconds, in windows of some seconds."""

    since: float
    until: float
    window_seconds: float


def performance(directory: Path, model: str, span: Span, by: str = "") -> dict[str, Any]:
    """The figures of every version and arm of a model, and of each window.

    Args:
        directory: ``STATE_DIR/monitor``.
        model: Name of the model.
        span: Time of the predictions.
        by: Field of segments whose figures are wanted; empty for none.

    Raises:
        sqlite3.Error: The file cannot be read.
    """
    span = Span(span.since, span.until, _width(span))
    found: dict[str, Any] = {"model": model, **asdict(span), "versions": [], "feedback": {}}
    connection = open_to_read(directory / FEEDBACK_FILE)
    if connection is None:
        return found
    with closing(connection), content():
        found["feedback"] = dict(map(tuple, connection.execute("SELECT * FROM outcomes")))
        names, divided = read_segments(connection), []
        for slot in connection.execute(_SLOTS, (model,)).fetchall():
            evaluator = _evaluator(connection, model, slot["version"])
            times, rows, numbers, complete = _read(connection, slot, span)
            if evaluator is not None:
                rows = replace(rows, largest_error=evaluator.options.largest_error)
            version = _version(connection, slot, span, times, rows, evaluator)
            found["versions"].append({**version, "complete": complete})
            divided.append(segmented(slot["version"], slot["arm"], rows, numbers, names, by))
    for version, one in zip(found["versions"], divided, strict=True):
        version["segments"] = told(one, divided)
    return found


def _version(
    connection: sqlite3.Connection,
    slot: sqlite3.Row,
    span: Span,
    times: Any,
    rows: Labelled,
    evaluator: Evaluator | None,
) -> dict[str, Any]:
    vain = connection.execute(_VAIN, (slot["id"], span.since, span.until)).fetchall()
    traffic = _traffic(connection, slot["id"], span)
    predictions = int(sum(one[1] for one in traffic))
    whole = measure(rows)
    return {
        "version": slot["version"],
        "arm": slot["arm"],
        "kind": slot["kind"],
        "predictions": predictions,
        "coverage": whole.labels / predictions if predictions else None,
        **_told(whole),
        "not_comparable": sum(one["n"] for one in vain),
        "not_comparable_examples": [one["label"] for one in vain[:MAX_EXAMPLES]],
        "never_predicted": _never_predicted(evaluator, rows),
        "estimated": _estimated(evaluator, traffic),
        "change": None if evaluator is None else _change(evaluator, span.until),
        "windows": _windows(times, rows, traffic, span, evaluator),
    }


def _evaluator(connection: sqlite3.Connection, model: str, version: str) -> Evaluator | None:
    query = "SELECT state FROM judges WHERE model = ? AND version = ?"
    row = connection.execute(query, (model, version)).fetchone()
    return None if row is None else Evaluator.kept(row["state"])


def _told(found: Performance) -> dict[str, Any]:
    content = found.to_json()
    del content["kind"]
    return content


def _never_predicted(evaluator: Evaluator | None, rows: Labelled) -> dict[str, int]:
    """True classes that the model has never given: rare ones, or labels of another spelling."""
    if evaluator is None or rows.kind != CLASSIFICATION:
        return {}
    given = set(rows.predicted)
    found = Counter(one for one in rows.truth if evaluator.classes.is_new(one) and one not in given)
    return dict(found.most_common(MAX_EXAMPLES))


def _read(
    connection: sqlite3.Connection, slot: sqlite3.Row, span: Span
) -> tuple[Any, Labelled, NDArray[np.int64], bool]:
    truths = "coalesce(truth, label)" if has_column(connection, "truth") else "label"
    units = "unit, request_id" if has_column(connection, "unit") else "'', request_id"
    numbered = "segment" if has_column(connection, "segment") else "0"
    query = _LABELS.format(truths, units, numbered)
    found = connection.execute(query, (slot["id"], span.since, span.until, MAX_LABELS)).fetchall()
    columns = list(zip(*found, strict=True)) or [()] * (_FIRST + len(_FIGURES))
    keys, when = np.array(columns[0], np.int64), np.array(columns[1], float)
    chosen = newest_of(keys, when)
    numbers = [np.array(column, float)[chosen] for column in columns[_FIRST:]]
    loss, right, confidence, true_score, brier, positive_score, positive, times, received = numbers
    truth = [columns[2][row] for row in chosen.tolist()]
    if slot["kind"] == CLASSIFICATION:
        truth = [class_name(one) for one in truth]
    predicted = [columns[3][row] for row in chosen.tolist()]
    given = [(columns[4][row], columns[4][row] or columns[5][row]) for row in chosen.tolist()]
    rows = Labelled(
        slot["kind"],
        truth,
        predicted,
        right,
        loss,
        confidence,
        true_score,
        brier,
        positive_score,
        positive,
        received - times,
        units_of(given),
    )
    segments = np.array(columns[_FIRST - 1], np.int64)[chosen]
    return times, rows, segments, len(found) < MAX_LABELS


def _traffic(connection: sqlite3.Connection, slot: int, span: Span) -> list[tuple[int, int, Any]]:
    hours = int(span.since // HOUR), int(span.until // HOUR)
    return [
        (hour, rows, np.frombuffer(confidence, "<i8"))
        for hour, rows, confidence in connection.execute(_TRAFFIC, (slot, *hours))
    ]


def _estimated(
    evaluator: Evaluator | None, traffic: list[tuple[int, int, Any]]
) -> dict[str, Any] | None:
    """Estimated accuracy without labels; ``None`` without a calibration."""
    if evaluator is None or not evaluator.calibration:
        return None
    histogram = sum((one[2] for one in traffic), np.zeros(CALIBRATION_BINS))
    value = estimated_accuracy(histogram, evaluator.calibration)
    return None if value is None else {"accuracy": value, "assumption": ASSUMPTION}


def _change(evaluator: Evaluator, now: float) -> dict[str, Any]:
    """The result of the change test, with its rate of false alarms."""
    detector = evaluator.detector
    monthly = detector.monthly_labels(now) if detector.labels else None
    share = evaluator.options.false_alarms_per_month
    return {
        "state": detector.state,
        "cannot_tell": detector.doubt or None,
        "labels": detector.labels,
        "reference_labels": (detector.reference[0] or detector.size) if detector.size else None,
        "reference_rate": detector.rate if detector.state != "learning" else None,
        "bad_above_loss": detector.limit,
        "evidence": detector.statistic,
        "threshold": None if monthly is None else detector.threshold(now, share),
        "labels_per_month": monthly,
        "false_alarms_per_month": share,
    }


def _width(span: Span) -> float:
    """Of the windows: whole hours, and not too many of them."""
    width = max(span.window_seconds, (span.until - span.since) / MAX_WINDOWS, HOUR)
    return float(HOUR * -(-int(width) // HOUR))


def _windows(
    times: Any,
    rows: Labelled,
    traffic: list[tuple[int, int, Any]],
    span: Span,
    evaluator: Evaluator | None,
) -> list[dict[str, Any]]:
    """One entry per window with predictions or labels, oldest first."""
    width = int(span.window_seconds)
    first = int(span.since // width)
    numbers = (times // width).astype(np.int64) - first
    found = []
    for number in range(int(span.until // width) - first + 1):
        start = (first + number) * width
        hours = [one for one in traffic if start <= one[0] * HOUR < start + width]
        here = np.flatnonzero(numbers == number)
        predictions = int(sum(one[1] for one in hours))
        if not predictions and not len(here):
            continue
        figures = figures_of(pick(rows, here))
        main = figures.get("accuracy") or figures.get("mae")
        found.append(
            {
                "start": start,
                "predictions": predictions,
                "labels": len(here),
                "figure": None if main is None else asdict(main),
                "estimated": _estimated(evaluator, hours),
            }
        )
    return found
