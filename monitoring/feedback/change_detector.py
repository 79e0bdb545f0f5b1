"""Has it become worse? A test that looks after every vote and still states its false alarms.

A vote is the label of a prediction; of a unit, such as a user, one label a day votes, because
labels of one unit resemble each other. Votes are taken in the order of their predictions, and only
when so much time has passed that labels have come as they did while the reference was learnt:
`wait`, the 0.99 quantile of their delays. A label that takes longer never votes, then as now. So
classes whose labels come at different times, files that are sorted, and weekly uploads change
nothing.

A vote is bad or not: a wrong class, or a loss above the reference's 0.9 quantile.
`penstock.monitoring.feedback.reference` says which share is expected at each hour of the week,
`change_evidence` sums the evidence of a change, and `dispersion` measures how much less than one
independent vote each counts. An alarm is raised at votes of 30 days / `false_alarms_per_month`.

If the evidence of a change is not there within the classes (`strata`), or labels are given
otherwise than before (`labelling`), nobody can tell whether the version is worse. Then there is no
alarm, the reason is kept, and the reference is learnt anew.
`penstock.loadtests.change_rules` compares the test with other rules.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .alarm import Alarm
from .change_evidence import ODDS, ChangeEvidence, ratios
from .class_test import SOURCE, ClassTest
from .dispersion import Dispersion
from .reference import Reference
from .sources import Sources

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .options import FeedbackOptions

#: A vote is bad when its loss is above this quantile of the reference's losses.
LOSS_QUANTILE: Final = 0.9
#: So many votes after the evidence is complete, it must be there within the classes, too.
MOST_UNSURE: Final = 150
#: Standard errors by which the same hours of the weeks before must be exceeded.
EXCESS: Final = 3.5
#: So many times more evidence is needed after a learnt reference: its level is known roughly only.
CAUTION: Final = 1.3
_DAYS: Final = 30.0
_DAY_SECONDS: Final = 86_400.0
_FEWEST_LABELS: Final = 500.0
#: Votes that a declared reference is as sure as.
_DECLARED: Final = 1e8
_PAGE_ODDS: Final = ODDS[1]

LEARNING, WATCHING, ALARM = "learning", "watching", "alarm"
OPENED, CLOSED, CANNOT_TELL = "opened", "closed", "cannot tell"
_NO_GROUPS: Final[Mapping[str, str]] = {}


@dataclass(slots=True)
class ChangeDetector:
    """The votes of one version, in the order of their predictions.

    Attributes:
        size: Votes of the reference; 0 when it was declared.
        days: So many days of predictions the reference spans at least.
        labels: Votes seen so far.
        state: ``learning``, ``watching`` or ``alarm``.
        limit: A loss above it is bad.
        losses: Of the first votes while learning, with their times.
        first_time: Unix seconds of the prediction of the first vote.
        wait: Labels vote so many seconds after their prediction; ``None`` while delays are not
            known.
        since: Unix seconds of the first prediction that had a label when `wait` was set.
        done_until: Predictions up to this moment, Unix seconds, have voted.
        outdated: Whether its reference means nothing any more and has to be made anew.
        doubt: Reason for which nobody can tell if the version is worse; kept while the reference
            that is learnt instead is in force.
        begun: Unix seconds of the prediction from which on votes look worse.
        page: Evidence since then.
        suspected: Vote at which the evidence was complete, while it is not within the classes.
        expected: The reference.
        evidence: Of a change.
        dispersion: Of votes in a row.
        sources: Of the labels of the reference.
        classes: The test within the classes.
        alarm: The latest one.
    """

    size: int
    days: float = 7.0
    labels: int = 0
    state: str = LEARNING
    limit: float = 0.5
    losses: list[tuple[float, float]] = field(default_factory=list)
    first_time: float = 0.0
    wait: float | None = None
    since: float = 0.0
    done_until: float = 0.0
    outdated: bool = False
    doubt: str = ""
    begun: float = 0.0
    page: float = 0.0
    suspected: int = 0
    expected: Reference = field(default_factory=Reference)
    evidence: ChangeEvidence = field(default_factory=lambda: ChangeEvidence.of(0.0, 0.0, 0.5))
    dispersion: Dispersion = field(default_factory=Dispersion)
    sources: Sources = field(default_factory=Sources)
    classes: ClassTest = field(default_factory=ClassTest)
    alarm: Alarm = field(default_factory=Alarm)

    @classmethod
    def of(cls, options: FeedbackOptions) -> ChangeDetector:
        """For a version of a model with these options."""
        accuracy = options.expected_accuracy
        if accuracy is None:
            return cls(options.reference_labels, options.reference_days)
        made = cls(0, expected=Reference(_DECLARED, _DECLARED * (1 - accuracy)))
        made._watch()
        return made

    @property
    def reference(self) -> tuple[int, int]:
        """Votes in the reference, and bad ones among them."""
        return round(self.expected.votes), round(self.expected.bad)

    @property
    def rate(self) -> float:
        """The reference's share of bad votes."""
        return self.expected.rate

    @property
    def statistic(self) -> float:
        """The evidence for a change; compare with `threshold`."""
        return self.evidence.statistic

    def monthly_labels(self, now: float) -> float:
        """Votes in 30 days at the rate so far."""
        days = max(1.0, (now - self.first_time) / _DAY_SECONDS)
        return max(_FEWEST_LABELS, self.labels / days * _DAYS)

    def threshold(self, now: float, false_alarms_per_month: float) -> float:
        """Evidence at which there is an alarm."""
        return (CAUTION if self.size else 1.0) * self.monthly_labels(now) / false_alarms_per_month

    def add(
        self,
        loss: float,
        time: float,
        false_alarms_per_month: float,
        groups: Mapping[str, str] = _NO_GROUPS,
    ) -> str:
        """One vote; returns ``opened`` or ``closed`` when an alarm begins or ends.

        Returns ``cannot tell`` where the classes explain the evidence; else nothing.

        Args:
            loss: 0 or 1 of a class, the absolute error of a number.
            time: Unix seconds of its prediction.
            false_alarms_per_month: See `FeedbackOptions`.
            groups: The ``source`` of the label, and the classes ``predicted`` and ``truth``.
        """
        if not self.labels:
            self.first_time = time
        self.labels += 1
        if self.state == LEARNING:
            self._learn(loss, time, groups)
            return ""
        bad = loss > self.limit
        if self.state == ALARM:
            if not self.alarm.is_over(self.rate, bad=bad):
                return ""
            self.expected.forget_latest()
            self._watch()
            return CLOSED
        worth = self._weigh(time, groups, bad=bad)
        threshold = self.threshold(time, false_alarms_per_month)
        if self.statistic < threshold:
            self.suspected = 0
            return ""
        if self.size and self.expected.excess(self.begun) < EXCESS / math.sqrt(worth):
            return ""  # as in the weeks before
        return self._conclude(threshold, groups)

    def rate_at(self, time: float, source: str = "") -> float:
        """The share of bad votes that is expected of predictions of this moment."""
        return self.sources.rate(source, self.expected.rate_at(time), self.rate)

    def can_compare(self, source: str) -> bool:
        """True if labels of this source can be compared with the reference."""
        return self.state == LEARNING or self.sources.knows(source)

    def is_labelled_by_others(self, source: str) -> bool:
        """Count a vote's source; returns whether most labels come from unknown ones by now."""
        if self.state == LEARNING or not self.sources.is_another(source):
            return False
        self.doubt = f"labels come from another source, {source!r}"
        return True

    def _conclude(self, threshold: float, groups: Mapping[str, str]) -> str:
        """The evidence is complete: it must be there within the classes, too."""
        self.suspected = self.suspected or self.labels
        if self.classes.agrees(groups, threshold, self.expected.votes):
            return self._open()
        if self.labels - self.suspected < MOST_UNSURE:
            return ""
        self.doubt = "predictions of other classes are labelled, and within them as many are wrong"
        return CANNOT_TELL

    def _weigh(self, time: float, groups: Mapping[str, str], *, bad: bool) -> float:
        """Add a vote to all evidence; returns how many independent ones it is worth."""
        rate = self.rate_at(time, groups.get(SOURCE, ""))
        if self.page <= 0:
            self.begun = time
        self.expected.grow(time, self.begun, bad=bad)
        self.dispersion.add(bad=bad)
        worth = 1 / self.dispersion.factor(self.rate)
        self.evidence.add(rate, bad=bad, worth=worth)
        self.classes.add(groups, self.rate, bad=bad, worth=worth)
        self.page = max(0.0, self.page + math.log(ratios(rate, _PAGE_ODDS)[not bad]))
        self.alarm.remember(bad=bad)
        return worth

    def _open(self) -> str:  # the share of the hour has a margin, which would end the alarm early
        self.alarm.begin(self.labels, self.rate, ODDS[int(self.evidence.by_odds.argmax())])
        self.state, self.doubt = ALARM, ""
        return OPENED

    def _learn(self, loss: float, time: float, groups: Mapping[str, str]) -> None:
        self.classes.count(groups, bad=loss > self.limit)
        if self.losses or self.labels == 1:
            self.losses.append((loss, time))
            if len(self.losses) >= max(1, self.size):
                self._set_limit()
        else:
            self._count(loss, time)
        if SOURCE in groups:
            self.sources.count(groups[SOURCE], bad=loss > self.limit)
        if not self.losses and time - self.first_time >= self.days * _DAY_SECONDS:
            self._watch()

    def _set_limit(self) -> None:
        losses = np.array([loss for loss, _ in self.losses])
        if not np.isin(losses, (0.0, 1.0)).all():
            self.limit = float(np.quantile(losses, LOSS_QUANTILE))
        for loss, time in self.losses:
            self._count(loss, time)
        self.losses = []

    def _count(self, loss: float, time: float) -> None:
        bad = loss > self.limit
        self.expected.count(time, bad=bad)
        self.dispersion.add(bad=bad)

    def _watch(self) -> None:
        """Begin to look for a change, without evidence."""
        self.state = WATCHING
        known, worth = self.expected, 1 / self.dispersion.factor(self.rate)
        self.evidence = ChangeEvidence.of(known.votes * worth, known.bad * worth, self.rate)
        self.classes.reset()
        self.page, self.suspected = 0.0, 0

    def end_alarm(self) -> str:
        """End an alarm whose reference is outdated; returns ``closed`` if there is one."""
        if self.state != ALARM:
            return ""
        self.state = WATCHING
        return CLOSED

    def to_json(self) -> dict[str, Any]:
        """To go on after a restart."""
        content = {name: getattr(self, name) for name in _PLAIN}
        for name in _PARTS:
            content[name] = getattr(self, name).to_json()
        return content | {"reference": self.reference}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> ChangeDetector:
        """The reverse of `to_json`; what an earlier release wrote is outdated."""
        if "expected" not in content:
            kept = ("size", "labels", "state", "first_time", "wait")
            found = {name: content[name] for name in kept if name in content}
            return cls(**found, outdated=True, alarm=Alarm(content["alarm_at"], content["worse"]))
        made = cls(**{name: content[name] for name in _PLAIN})
        made.losses = [(loss, time) for loss, time in made.losses]
        for name, kind in _PARTS.items():
            setattr(made, name, kind.from_json(content[name]))
        return made


_PARTS: Final[dict[str, Any]] = {
    "expected": Reference,
    "evidence": ChangeEvidence,
    "dispersion": Dispersion,
    "sources": Sources,
    "classes": ClassTest,
    "alarm": Alarm,
}
_PLAIN: Final = [one.name for one in fields(ChangeDetector) if one.name not in _PARTS]
