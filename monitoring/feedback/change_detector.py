"""Has it become worse? A test that looks after every vote and still states its false alarms.

A vote is the label of a prediction; of a unit, such as a user, one label a day votes, because
labels of one unit resemble each other. Votes are taken in the order of their predictions, and only
when so much time has passed that labels have come as they did while the reference was learnt:
`wait`, the 0.99 quantile of their delays. A label that takes longer never votes, then as now. So
classes whose labels come at different times, files that are sorted, and weekly uploads change
nothing.

A vote is bad or not: a wrong class, or a loss above the reference's 0.9 quantile. The reference has
a share of bad votes by the day of the week and the quarter of the day, drawn towards the mean as
far as chance explains their differences (empirical Bayes), plus a margin for its own error. With
`p` that share, ``L_j`` is the likelihood ratio of a vote under odds `ODDS[j]` times those of `p`.
The Shiryaev-Roberts statistics ``R_j <- (1 + R_j) L_j`` sum the evidence of a change at any vote so
far. While nothing has changed ``R_j`` minus the number of votes is a martingale, so their mean,
weighted by `WEIGHTS`, reaches ``A`` within ``m`` votes with a probability of ``m / A`` at most
(Doob), and on average after ``A`` votes at least. An alarm is raised at ``A`` = votes of 30 days /
`false_alarms_per_month`. See Shin, Ramdas, Rinaldo, "E-detectors" (2022).
`penstock.loadtests.change_rules` compares it with other rules; `tests/simulation/test_labels.py`
has the figures, also on data that is not ideal.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

if TYPE_CHECKING:
    from .options import FeedbackOptions
    from .outputs import Floats

    T = TypeVar("T", float, Floats)

#: How much worse, as factors of the odds; a mixture of a small, a medium and a large change.
ODDS: Final = (1.5, 2.25, 4.0)
#: Most of it on the medium one (accuracy 0.90 to 0.80), which costs the others little.
WEIGHTS: Final = (1 / 6, 2 / 3, 1 / 6)
#: A vote is bad when its loss is above this quantile of the reference's losses.
LOSS_QUANTILE: Final = 0.9
#: Good votes in a row of so many end an alarm.
RECOVERY: Final = 300
#: At an alarm the share of bad ones is shown of so many votes, or up to twice as many.
RECENT: Final = 200
#: Parts of the week that have a share of their own: four a day.
CELLS: Final = 28
#: Standard errors of the reference that are added to it: so it keeps the rate of false alarms.
MARGIN: Final = 0.75
#: The same of the days of the week and of the quarters of the day, where these differ: of most
#: of them one week shows few votes.
GROUP_MARGIN: Final = 2.0
WEEK: Final = 7 * 86_400.0
_DAYS: Final = 30.0
_DAY_SECONDS: Final = 86_400.0
_SMALLEST: Final = 0.002
_LARGEST: Final = 0.8
_FEWEST_LABELS: Final = 500.0
#: How sure the reference is where it was declared, as a number of votes.
_DECLARED: Final = 1e6

LEARNING, WATCHING, ALARM = "learning", "watching", "alarm"


def ratios(p: T, odds: float) -> tuple[T, T]:
    """Likelihood ratios of a bad and of a good vote for odds that have grown by a factor."""
    worse = odds * p / (1 - p + odds * p)
    return worse / p, (1 - worse) / (1 - p)


def grow(statistic: T, ratio: T) -> T:
    """One vote on: a change may have begun just now, or earlier."""
    return (1.0 + statistic) * ratio


def cell_of(time: T) -> T:
    """The part of the week of a time, Unix seconds."""
    return (time % WEEK) // (WEEK / CELLS)


def shares(votes: Floats, bad: Floats) -> Floats:
    """The share of bad votes that is expected of each part of the week, with a margin.

    The days of the week and the quarters of the day each have a factor.

    Args:
        votes: Of each part.
        bad: Bad ones among them.
    """
    week, wrong = votes.reshape(7, -1), bad.reshape(7, -1)
    p = float((bad.sum() + 1) / (votes.sum() + 2))
    error = MARGIN * np.sqrt(p * (1 - p) / (votes.sum() + 2))
    found, variance = np.full(week.shape, p), np.full(week.shape, error**2)
    for axis in (1, 0):
        share, error = _drawn(week.sum(axis), wrong.sum(axis), p)
        found = found * np.expand_dims(share / p, axis)
        variance = variance + np.expand_dims((GROUP_MARGIN * error) ** 2, axis)
    kept: Floats = np.clip(found + np.sqrt(variance), _SMALLEST, _LARGEST)
    return kept.ravel()


def _drawn(votes: Floats, bad: Floats, p: float) -> tuple[Floats, Floats]:
    """The share of each group, drawn towards the mean as far as chance explains, and its error."""
    known = votes > 0
    degrees = int(known.sum()) - 1
    if degrees > 0:
        chi = float((((bad - votes * p) ** 2)[known] / (votes[known] * p * (1 - p))).sum())
        between = (chi - degrees) / (votes.sum() - (votes**2).sum() / votes.sum())
        if between > 0:  # the variance of the groups' shares in units of p (1 - p)
            weight = max(1.0, 1 / between - 1)
            share = (bad + weight * p) / (votes + weight)
            return share, np.sqrt(share * (1 - share) / (votes + weight))
    return np.full(len(votes), p), np.zeros(len(votes))


@dataclass(slots=True)
class ChangeDetector:
    """The votes of one version, in the order of their predictions.

    Attributes:
        size: Votes of the reference; 0 when it was declared.
        days: So many days of predictions the reference spans at least.
        labels: Votes seen so far.
        state: ``learning``, ``watching`` or ``alarm``.
        cells: Votes of the reference, and bad ones among them, by part of the week.
        limit: A loss above it is bad.
        evidence: One statistic per entry of `ODDS`.
        losses: Of the first votes while learning, with their parts of the week.
        first_time: Unix seconds of the prediction of the first vote.
        worse: Share of bad votes since the change, as estimated at the alarm.
        recent: Votes, and bad ones among them, of the last full `RECENT` and of those since.
        good_run: Votes, and bad ones among them, of the present row of `RECOVERY`.
        alarm_at: Vote at which the latest alarm was raised.
        wait: Labels vote so many seconds after their prediction; ``None`` while delays are not
            known.
        since: Unix seconds of the first prediction that had a label when `wait` was set.
        done_until: Predictions up to this moment, Unix seconds, have voted.
        outdated: Whether its reference means nothing any more and has to be made anew.
    """

    size: int
    days: float = 7.0
    labels: int = 0
    state: str = LEARNING
    cells: list[tuple[float, float]] = field(default_factory=lambda: [(0.0, 0.0)] * CELLS)
    limit: float = 0.5
    evidence: list[float] = field(default_factory=lambda: [0.0] * len(ODDS))
    losses: list[tuple[float, int]] = field(default_factory=list)
    first_time: float = 0.0
    worse: float = 0.0
    recent: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0), (0, 0)])
    good_run: tuple[int, int] = (0, 0)
    alarm_at: int = 0
    wait: float | None = None
    since: float = 0.0
    done_until: float = 0.0
    outdated: bool = False
    _shares: Floats | None = None

    @classmethod
    def of(cls, options: FeedbackOptions) -> ChangeDetector:
        """For a version of a model with these options."""
        accuracy = options.expected_accuracy
        if accuracy is None:
            return cls(options.reference_labels, options.reference_days)
        each = _DECLARED, _DECLARED * (1 - accuracy)
        return cls(0, state=WATCHING, cells=[each] * CELLS)

    @property
    def reference(self) -> tuple[int, int]:
        """Votes in the reference, and bad ones among them."""
        votes, bad = (sum(one) for one in zip(*self.cells, strict=True))
        return round(votes), round(bad)

    @property
    def rate(self) -> float:
        """The reference's share of bad votes."""
        votes, bad = self.reference
        return min(max((bad + 1) / (votes + 2), _SMALLEST), _LARGEST)

    @property
    def statistic(self) -> float:
        """The evidence for a change; compare with `threshold`."""
        return sum(w * one for w, one in zip(WEIGHTS, self.evidence, strict=True))

    def monthly_labels(self, now: float) -> float:
        """Votes in 30 days at the rate so far."""
        days = max(1.0, (now - self.first_time) / _DAY_SECONDS)
        return max(_FEWEST_LABELS, self.labels / days * _DAYS)

    def threshold(self, now: float, false_alarms_per_month: float) -> float:
        """Evidence at which there is an alarm."""
        return self.monthly_labels(now) / false_alarms_per_month

    def add(self, loss: float, time: float, false_alarms_per_month: float) -> str:
        """One vote; returns ``opened`` or ``closed`` when an alarm begins or ends, else nothing.

        Args:
            loss: 0 or 1 of a class, the absolute error of a number.
            time: Unix seconds of its prediction.
            false_alarms_per_month: See `FeedbackOptions`.
        """
        if not self.labels:
            self.first_time = time
        self.labels += 1
        if self.state == LEARNING:
            self._learn(loss, time)
            return ""
        bad = loss > self.limit
        if self.state == ALARM:
            return self._recover(bad=bad)
        p = self.rate_at(time)
        self.evidence = [
            grow(one, ratios(p, odds)[not bad])
            for one, odds in zip(self.evidence, ODDS, strict=True)
        ]
        self._remember(bad=bad)
        if self.statistic < self.threshold(time, false_alarms_per_month):
            return ""
        best = max(zip(self.evidence, ODDS, strict=True))[1]
        votes, wrong = (sum(one) for one in zip(*self.recent, strict=True))
        self.worse = max(best * p / (1 - p + best * p), wrong / votes)
        self.state, self.good_run, self.alarm_at = ALARM, (0, 0), self.labels
        return "opened"

    def rate_at(self, time: float) -> float:
        """The share of bad votes that is expected of predictions of this moment."""
        if self._shares is None:
            votes, bad = np.array(self.cells, float).T
            self._shares = shares(votes, bad)
        return float(self._shares[int(cell_of(time))])

    def _remember(self, *, bad: bool) -> None:
        votes, wrong = self.recent[-1]
        if votes >= RECENT:
            self.recent = [(votes, wrong), (1, int(bad))]
        else:
            self.recent[-1] = votes + 1, wrong + bad

    def _learn(self, loss: float, time: float) -> None:
        cell = int(cell_of(time))
        if self.losses or self.labels == 1:
            self.losses.append((loss, cell))
            if len(self.losses) >= max(1, self.size):
                self._set_limit()
        else:
            self._count(loss, cell)
        if not self.losses and time - self.first_time >= self.days * _DAY_SECONDS:
            self.state = WATCHING

    def _set_limit(self) -> None:
        losses = np.array([loss for loss, _ in self.losses])
        if not np.isin(losses, (0.0, 1.0)).all():
            self.limit = float(np.quantile(losses, LOSS_QUANTILE))
        for loss, cell in self.losses:
            self._count(loss, cell)
        self.losses = []

    def _count(self, loss: float, cell: int) -> None:
        votes, bad = self.cells[cell]
        self.cells[cell] = votes + 1, bad + (loss > self.limit)
        self._shares = None

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
        self.recent = [(0, 0), (0, 0)]
        return "closed"

    def end_alarm(self) -> str:
        """End an alarm whose reference is outdated; returns ``closed`` if there is one."""
        if self.state != ALARM:
            return ""
        self.state = WATCHING
        return "closed"

    def to_json(self) -> dict[str, Any]:
        """To go on after a restart."""
        content = asdict(self) | {"reference": self.reference}
        del content["_shares"]
        return content

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> ChangeDetector:
        """The reverse of `to_json`; what an earlier release wrote is outdated."""
        if "cells" not in content:
            kept = ("size", "labels", "state", "first_time", "worse", "alarm_at")
            return cls(**{name: content[name] for name in kept}, outdated=True)
        content = {name: value for name, value in content.items() if name != "reference"}
        content["good_run"] = tuple(content["good_run"])
        for name in ("cells", "losses", "recent"):
            content[name] = [tuple(one) for one in content[name]]
        return cls(**content)
