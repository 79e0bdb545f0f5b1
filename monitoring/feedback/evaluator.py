"""Compares the predictions of one version with their labels."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.monitoring.databases import content

from .change_detector import ChangeDetector
from .classes import Classes, number_of
from .estimate import MIN_LABELS, calibrate
from .label import class_name
from .options import FeedbackOptions
from .outputs import CLASSIFICATION
from .performance import CALIBRATION_BINS
from .votes import Votes

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from .options import Value
    from .outputs import Predictions
    from .votes import Labels

_TWO: Final = 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of comparing a prediction with its label; ``None`` where it is unknown.

    `truth` is the label in the model's spelling, a class or a number; without it all is unknown.
    """

    right: int | None = None
    loss: float | None = None
    confidence: float | None = None
    true_score: float | None = None
    brier: float | None = None
    positive_score: float | None = None
    positive: int | None = None
    truth: str | float | None = None


@dataclass(slots=True)
class Evaluator:
    """The evaluator of one version.

    Attributes:
        options: The feedback options of the model.
        detector: The change test.
        columns: Name of a class -> its column of the probabilities, learnt from predictions.
        clash: Whether predictions were not the likeliest class, so that the columns are unknown.
        counts: Labels of the reference by bin of confidence.
        rights: Right predictions among them.
        calibration: Share of right ones by bin of confidence, once enough are known.
        classes: The classes of the version, in its spelling.
        votes: Units that have voted on the present day.
    """

    options: FeedbackOptions
    detector: ChangeDetector
    columns: dict[str, int] = field(default_factory=dict)
    clash: bool = False
    counts: list[float] = field(default_factory=lambda: [0.0] * CALIBRATION_BINS)
    rights: list[float] = field(default_factory=lambda: [0.0] * CALIBRATION_BINS)
    calibration: list[float] = field(default_factory=list)
    classes: Classes = field(default_factory=Classes)
    votes: Votes = field(default_factory=Votes)

    @classmethod
    def of(cls, options: FeedbackOptions, state: str | None = None) -> Evaluator:
        """A new evaluator, or one with the state of `to_json`."""
        evaluator = cls(options, ChangeDetector.of(options))
        if state is not None:
            content = json.loads(state)
            evaluator.options = replace(options, false_alarms_per_month=content.pop("share"))
            content.pop("largest_error", None)
            evaluator.detector = ChangeDetector.from_json(content.pop("detector"))
            if "classes" in content:  # not of earlier releases
                evaluator.classes = Classes.from_json(content.pop("classes"))
            for name, value in content.items():
                setattr(evaluator, name, value)
        return evaluator

    @classmethod
    def kept(cls, state: str) -> Evaluator:
        """An evaluator with a state of `to_json` and the options that figures need, to read it."""
        return cls.of(FeedbackOptions(largest_error=json.loads(state).get("largest_error")), state)

    def to_json(self) -> str:
        """The state as JSON, for a restart."""
        content: dict[str, Any] = {
            "detector": self.detector.to_json(),
            "share": self.options.false_alarms_per_month,
            "largest_error": self.options.largest_error,
            "classes": self.classes.to_json(),
        }
        for name in ("columns", "clash", "counts", "rights", "calibration"):
            content[name] = getattr(self, name)
        return json.dumps(content)

    def learn(self, predictions: Predictions) -> None:
        """Learn the classes, and the column of the probabilities of each."""
        if predictions.kind == CLASSIFICATION:
            self.classes.learn(predictions)
        width = predictions.scores.shape[1]
        if width < _TWO or self.clash or self.options.classes or len(self.columns) == width:
            return
        best = predictions.scores.argmax(axis=1).tolist()
        for value, column in set(zip(predictions.values, best, strict=True)):
            known = self.columns.setdefault(class_name(value), column)
            self.clash |= known != column
        self.clash |= len(set(self.columns.values())) < len(self.columns)

    def evaluate(self, kind: str, predicted: Any, scores: Sequence[float], label: Value) -> Verdict:
        """Compare a prediction with its label.

        Args:
            kind: ``classification`` or ``regression``.
            predicted: Name of a class, or a number.
            scores: Probabilities, if there are any.
            label: The label.
        """
        if kind != CLASSIFICATION:
            number = number_of(label)
            if number is None or not math.isfinite(predicted):
                return Verdict()
            return Verdict(loss=abs(predicted - number), truth=number)
        truth = self.classes.spell(label, predicted, self.options.classes)
        if truth is None:
            return Verdict()
        right = int(truth == predicted)
        verdict = Verdict(right, 1.0 - right, truth=truth)
        return self._scored(verdict, predicted, truth, scores) if len(scores) else verdict

    def settle(self, verdict: Verdict) -> None:
        """Count a result."""
        if verdict.confidence is not None and not self.calibration:
            bin_ = min(int(verdict.confidence * CALIBRATION_BINS), CALIBRATION_BINS - 1)
            self.counts[bin_] += 1
            self.rights[bin_] += verdict.right or 0
            if sum(self.counts) >= max(MIN_LABELS, self.options.reference_labels):
                self.calibration = calibrate(np.array(self.counts), np.array(self.rights))

    def vote(self, labels: Labels, now: float) -> tuple[bool, list[str]]:
        """Let labels vote whose time has come.

        Args:
            labels: Of the version.
            now: Unix seconds.

        Returns:
            Whether there is something to keep on disk, and what `Votes.advance` tells.
        """
        before = self.detector.labels
        self.detector, told = self.votes.advance(labels, self.detector, self.options, now)
        return bool(told) or self.detector.labels != before, told

    def _scored(
        self, verdict: Verdict, predicted: str, truth: str, scores: Sequence[float]
    ) -> Verdict:
        if len(scores) == 1:  # the probability of the positive class
            scores = (1.0 - scores[0], scores[0])
            names = [class_name(one) for one in self.options.classes] or [
                "0",
                class_name(1 if self.options.positive is None else self.options.positive),
            ]
            columns = {name: column for column, name in enumerate(names)}
        else:
            columns = self._columns(predicted, len(scores))
        at = columns.get(truth)
        mine = columns.get(predicted)
        if mine is None:
            return verdict
        verdict = replace(verdict, confidence=scores[mine])
        if at is None:
            return verdict
        verdict = replace(verdict, true_score=scores[at])
        if len(scores) > _TWO:
            return replace(verdict, brier=sum(one * one for one in scores) - 2 * scores[at] + 1)
        positive = columns.get(self._positive(predicted), 1)
        score, is_positive = scores[positive], int(at == positive)
        return replace(
            verdict,
            brier=(score - is_positive) ** 2,
            positive_score=score,
            positive=is_positive,
        )

    def _positive(self, predicted: str) -> str:
        """The class ``positive`` as the model spells it."""
        said = self.options.positive
        spelled = (
            None if said is None else self.classes.spell(said, predicted, self.options.classes)
        )
        return class_name(said) if spelled is None else spelled

    def _columns(self, predicted: str, width: int) -> dict[str, int]:
        if self.options.classes:
            named = {class_name(one): column for column, one in enumerate(self.options.classes)}
            # Of a model that gives numbers of classes which are declared by their names.
            by_place = {str(column): column for column in range(len(named))}
            return named if predicted in named or predicted not in by_place else by_place
        if self.clash:
            return {}
        if all(name == str(column) for name, column in self.columns.items()):
            return {str(column): column for column in range(width)}
        return self.columns


def gives_texts(connection: sqlite3.Connection, model: str) -> bool:
    """True if a version of a model gives texts as classes, by its kept predictions.

    Raises:
        sqlite3.Error: The file cannot be read.
    """
    rows = connection.execute("SELECT state FROM judges WHERE model = ?", (model,)).fetchall()
    with content():
        return any(json.loads(state).get("classes", {}).get("texts") for (state,) in rows)
