"""A change test of a version's quality: it runs after each label and bounds its false alarms.

Each label is bad or not: a wrong class, or a loss above the reference's 0.9 quantile. With `p` the
reference's share of bad ones, let ``L_j`` be the likelihood ratio of a label under odds `ODDS[j]`
times those of `p`. The Shiryaev-Roberts statistics ``R_j <- (1 + R_j) L_j`` sum the evidence of a
change at any label so far. While nothing has changed ``R_j`` minus the number of labels is a
martingale, so their mean, weighted by `WEIGHTS`, reaches ``A`` within ``m`` labels with a
probability of ``m / A`` at most (Doob), and on average after ``A`` labels at least. An alarm is
raised at ``A`` = labels of 30 days / `false_alarms_per_month`. See Shin, Ramdas, Rinaldo,
"E-detectors" (2022). `penstock.loadtests.change_rules` compares it with other rules.

The bound holds for a known `p`. One that is learnt from the first labels is off by chance, so it
goes on growing with labels that are older than any change that would have been seen by now;
`tests/simulation/test_feedback.py` has the figures for both.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

if TYPE_CHECKING:
    from .options import FeedbackOptions
    from .outputs import Floats

    T = TypeVar("T", float, Floats)

#: Factors of the odds of a bad label: a small, a medium and a large change.
ODDS: Final = (1.5, 2.25, 4.0)
#: Most of it on the medium one (accuracy 0.90 to 0.80), which costs the others little.
WEIGHTS: Final = (1 / 6, 2 / 3, 1 / 6)
#: A label is bad when its loss is above this quantile of the reference's losses.
LOSS_QUANTILE: Final = 0.9
#: Evidence at which the version is shown as suspected; no alarm.
SUSPICION: Final = 10_000.0
#: Labels join the reference so many labels later, and until it has so many times its first size.
BLOCK: Final = 500
_BLOCKS_BEHIND: Final = 4
_GROWTH: Final = 10
#: Good labels in a row of so many end an alarm.
RECOVERY: Final = 300
_DAYS: Final = 30.0
_DAY_SECONDS: Final = 86_400.0
_SMALLEST: Final = 0.002
_LARGEST: Final = 0.8
_FEWEST_LABELS: Final = 500.0

LEARNING, WATCHING, ALARM = "learning", "watching", "alarm"


def ratios(p: T, odds: float) -> tuple[T, T]:
    """Likelihood ratios of a bad and of a good label for odds that have grown by a factor."""
    worse = odds * p / (1 - p + odds * p)
    return worse / p, (1 - worse) / (1 - p)


def grow(statistic: T, ratio: T) -> T:
    """Update a statistic by one label: a change may have begun just now, or earlier."""
    return (1.0 + statistic) * ratio


@dataclass(slots=True)
class ChangeDetector:
    """The change test of one version; it takes labels in the order of their arrival.

    Attributes:
        size: Labels of the first reference; 0 when the reference was declared.
        labels: Seen so far.
        state: ``learning``, ``watching`` or ``alarm``.
        reference: Labels in the reference, and bad ones among them.
        limit: A loss above it is bad.
        evidence: One statistic per entry of `ODDS`.
        losses: Losses of the labels while learning.
        blocks: Labels and bad ones of the latest blocks, the last one under way.
        first_time: Unix seconds of the first label.
        worse: Share of bad labels since the change, as estimated at the alarm.
        good_run: Labels, and bad ones among them, of the present row of `RECOVERY`.
        alarm_at: Label at which the latest alarm was raised.
    """

    size: int
    labels: int = 0
    state: str = LEARNING
    reference: tuple[int, int] = (0, 0)
    limit: float = 0.5
    evidence: list[float] = field(default_factory=lambda: [0.0] * len(ODDS))
    losses: list[float] = field(default_factory=list)
    blocks: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)])
    first_time: float = 0.0
    worse: float = 0.0
    good_run: tuple[int, int] = (0, 0)
    alarm_at: int = 0

    @classmethod
    def of(cls, options: FeedbackOptions) -> ChangeDetector:
        """A new detector for a version of a model with these options."""
        accuracy = options.expected_accuracy
        if accuracy is None:
            return cls(options.reference_labels)
        weight = 1_000_000
        return cls(0, state=WATCHING, reference=(weight, round(weight * (1 - accuracy))))

    @property
    def rate(self) -> float:
        """The reference's share of bad labels."""
        labels, bad = self.reference
        return min(max((bad + 1) / (labels + 2), _SMALLEST), _LARGEST)

    @property
    def statistic(self) -> float:
        """The evidence for a change; compare with `threshold`."""
        return sum(w * one for w, one in zip(WEIGHTS, self.evidence, strict=True))

    def monthly_labels(self, now: float) -> float:
        """Labels in 30 days at the rate so far."""
        days = max(1.0, (now - self.first_time) / _DAY_SECONDS)
        return max(_FEWEST_LABELS, self.labels / days * _DAYS)

    def threshold(self, now: float, false_alarms_per_month: float) -> float:
        """Evidence at which there is an alarm."""
        return self.monthly_labels(now) / false_alarms_per_month

    def add(self, loss: float, now: float, false_alarms_per_month: float) -> str:
        """Take one label; returns ``opened`` or ``closed`` when an alarm begins or ends.

        Args:
            loss: 0 or 1 of a class, the absolute error of a number.
            now: Unix seconds.
            false_alarms_per_month: See `FeedbackOptions`.
        """
        if not self.labels:
            self.first_time = now
        self.labels += 1
        if self.state == LEARNING:
            self._learn(loss)
            return ""
        bad = loss > self.limit
        if self.state == ALARM:
            return self._recover(bad=bad)
        p = self.rate
        self.evidence = [
            grow(one, ratios(p, odds)[not bad])
            for one, odds in zip(self.evidence, ODDS, strict=True)
        ]
        self._age(bad=bad)
        if self.statistic < self.threshold(now, false_alarms_per_month):
            return ""
        recent = [sum(one) for one in zip(*self.blocks, strict=True)]
        best = max(zip(self.evidence, ODDS, strict=True))[1]
        self.worse = max(best * p / (1 - p + best * p), recent[1] / max(1, recent[0]))
        self.state, self.good_run, self.alarm_at = ALARM, (0, 0), self.labels
        return "opened"

    def _learn(self, loss: float) -> None:
        self.losses.append(loss)
        if len(self.losses) < self.size:
            return
        losses = np.array(self.losses)
        if not np.isin(losses, (0.0, 1.0)).all():
            self.limit = float(np.quantile(losses, LOSS_QUANTILE))
        self.reference = len(losses), int((losses > self.limit).sum())
        self.losses, self.state = [], WATCHING

    def _age(self, *, bad: bool) -> None:
        """Move old labels into the reference, if there is room and no suspicion."""
        labels, wrong = self.blocks[-1]
        self.blocks[-1] = labels + 1, wrong + bad
        if labels + 1 < BLOCK:
            return
        self.blocks.append((0, 0))
        if len(self.blocks) <= _BLOCKS_BEHIND:
            return
        old = self.blocks.pop(0)
        if self.size and self.reference[0] < _GROWTH * self.size and self.statistic < SUSPICION:
            self.reference = self.reference[0] + old[0], self.reference[1] + old[1]

    def _recover(self, *, bad: bool) -> str:
        labels, wrong = self.good_run
        self.good_run = labels + 1, wrong + bad
        if labels + 1 < RECOVERY:
            return ""
        labels, wrong = self.good_run
        self.good_run = 0, 0
        if wrong / labels > (self.rate + self.worse) / 2:
            return ""
        self.state, self.evidence = WATCHING, [0.0] * len(ODDS)
        self.blocks = [(0, 0)]
        return "closed"

    def to_json(self) -> dict[str, Any]:
        """The state as JSON values, for a restart."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> ChangeDetector:
        """The reverse of `to_json`."""
        content = dict(content)
        for name in ("reference", "good_run"):
            content[name] = tuple(content[name])
        content["blocks"] = [tuple(one) for one in content["blocks"]]
        return cls(**content)
