"""Compares a prediction with its label, and remembers what that takes for one version."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .change import ChangeDetector
from .estimate import MIN_LABELS, calibrate
from .label import class_name
from .outputs import CLASSIFICATION
from .performance import CALIBRATION_BINS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .options import FeedbackOptions, Value
    from .outputs import Predictions

_TWO: Final = 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a label says of a prediction; ``None`` where that cannot be told."""

    right: int | None = None
    loss: float | None = None
    confidence: float | None = None
    true_score: float | None = None
    brier: float | None = None
    positive_score: float | None = None
    positive: int | None = None


@dataclass(slots=True)
class Judge:
    """Of one version.

    Attributes:
        options: What the operator says of the model.
        detector: Whether it has become worse.
        columns: Name of a class -> its column of the probabilities, learnt from predictions.
        clash: Predictions are not the likeliest class: nobody knows what the columns mean.
        counts: Labels of the reference by bin of confidence.
        rights: Right predictions among them.
        calibration: Share of right ones by bin of confidence, once enough are known.
    """

    options: FeedbackOptions
    detector: ChangeDetector
    columns: dict[str, int] = field(default_factory=dict)
    clash: bool = False
    counts: list[float] = field(default_factory=lambda: [0.0] * CALIBRATION_BINS)
    rights: list[float] = field(default_factory=lambda: [0.0] * CALIBRATION_BINS)
    calibration: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, options: FeedbackOptions, state: str | None = None) -> Judge:
        """A new one, or one that goes on from `to_json`."""
        judge = cls(options, ChangeDetector.of(options))
        if state is not None:
            content = json.loads(state)
            judge.options = replace(options, false_alarms_per_month=content.pop("share"))
            judge.detector = ChangeDetector.from_json(content.pop("detector"))
            for name, value in content.items():
                setattr(judge, name, value)
        return judge

    def to_json(self) -> str:
        """To go on after a restart."""
        content: dict[str, Any] = {
            "detector": self.detector.to_json(),
            "share": self.options.false_alarms_per_month,
        }
        for name in ("columns", "clash", "counts", "rights", "calibration"):
            content[name] = getattr(self, name)
        return json.dumps(content)

    def learn_columns(self, predictions: Predictions) -> None:
        """See which class each column of the probabilities stands for."""
        width = predictions.scores.shape[1]
        if width < _TWO or self.clash or self.options.classes or len(self.columns) == width:
            return
        best = predictions.scores.argmax(axis=1).tolist()
        for value, column in set(zip(predictions.values, best, strict=True)):
            known = self.columns.setdefault(class_name(value), column)
            self.clash |= known != column
        self.clash |= len(set(self.columns.values())) < len(self.columns)

    def judge(self, kind: str, predicted: Any, scores: Sequence[float], label: Value) -> Verdict:
        """Compare.

        Args:
            kind: ``classification`` or ``regression``.
            predicted: Name of a class, or a number.
            scores: Probabilities, if there are any.
            label: The truth.
        """
        if kind != CLASSIFICATION:
            if isinstance(label, str) or not math.isfinite(predicted):
                return Verdict()
            return Verdict(loss=abs(predicted - label))
        truth = class_name(label)
        right = int(truth == predicted)
        if not len(scores):
            return Verdict(right, 1.0 - right)
        return self._scored(right, predicted, truth, scores)

    def settle(self, verdict: Verdict, now: float) -> str:
        """A label has come; ``opened`` or ``closed`` if that begins or ends an alarm."""
        if verdict.loss is None:
            return ""
        if verdict.confidence is not None and not self.calibration:
            bin_ = min(int(verdict.confidence * CALIBRATION_BINS), CALIBRATION_BINS - 1)
            self.counts[bin_] += 1
            self.rights[bin_] += verdict.right or 0
            if sum(self.counts) >= max(MIN_LABELS, self.options.reference_labels):
                self.calibration = calibrate(np.array(self.counts), np.array(self.rights))
        return self.detector.add(verdict.loss, now, self.options.false_alarms_per_month)

    def _scored(self, right: int, predicted: str, truth: str, scores: Sequence[float]) -> Verdict:
        if len(scores) == 1:  # the probability of the positive class
            scores = (1.0 - scores[0], scores[0])
            names = [class_name(one) for one in self.options.classes] or [
                "0",
                class_name(1 if self.options.positive is None else self.options.positive),
            ]
            columns = {name: column for column, name in enumerate(names)}
        else:
            columns = self._columns(len(scores))
        at = columns.get(truth)
        mine = columns.get(predicted)
        if mine is None:
            return Verdict(right, 1.0 - right)
        confidence = scores[mine]
        if at is None:
            return Verdict(right, 1.0 - right, confidence)
        if len(scores) > _TWO:
            brier = sum(one * one for one in scores) - 2 * scores[at] + 1
            return Verdict(right, 1.0 - right, confidence, scores[at], brier)
        positive = columns.get(class_name(self.options.positive), 1)
        score, is_positive = scores[positive], int(at == positive)
        brier = (score - is_positive) ** 2
        return Verdict(right, 1.0 - right, confidence, scores[at], brier, score, is_positive)

    def _columns(self, width: int) -> dict[str, int]:
        if self.options.classes:
            return {class_name(one): column for column, one in enumerate(self.options.classes)}
        if self.clash:
            return {}
        if all(name == str(column) for name, column in self.columns.items()):
            return {str(column): column for column in range(width)}
        return self.columns
