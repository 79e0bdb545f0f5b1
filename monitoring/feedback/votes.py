"""Chooses the labels that vote on whether a version has become worse, and their time. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import numpy as np

from .change_detector import (
    ALARM,
    CANNOT_TELL,
    LEARNING,
    OPENED,
    ChangeDetector,
)
from .class_test import PREDICTED, SOURCE, TRUTH
from .labelling import labelling_change

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .labelling import HourlyLabels
    from .options import FeedbackOptions
    from .outputs import Floats

#: Labels vote so long after their prediction that this share of them has come.
COMPLETE: Final = 0.99
#: If less than this share of the latest labels comes in time, the wait is learnt again.
IN_TIME: Final = 0.9
#: Fewer labels say nothing of how long labels take.
FEWEST_DELAYS: Final = 50
#: A wait that has grown by more makes what was learnt before worthless.
GROWTH: Final = 1.25
#: Units that can vote on a day: so many are remembered, and more do not vote.
MOST_UNITS: Final = 200_000
_DAY: Final = 86_400.0


class Due(NamedTuple):
    """A label whose time to vote has come.

    Attributes:
        time: Unix seconds of its prediction.
        loss: 0 or 1 of a class, the absolute error of a number.
        unit: The unit of the prediction, such as a user; empty where nobody says.
        request: Of the prediction.
        source: Source of the label; ``None`` where nobody says.
        predicted: The predicted class; ``None`` for numbers.
        truth: The true class; the same.
    """

    time: float
    loss: float
    unit: str
    request: str
    source: str | None = None
    predicted: str | None = None
    truth: str | None = None

    def groups(self) -> dict[str, str]:
        """Its groups, see `ChangeDetector.add`."""
        named = {SOURCE: self.source, PREDICTED: self.predicted, TRUTH: self.truth}
        return {name: one for name, one in named.items() if one is not None}


class Labels(Protocol):
    """The labels of one version that have come."""

    def delays(self) -> Floats:
        """Seconds from the prediction to the label, of the latest labels."""
        ...

    def first(self) -> float:
        """Unix seconds of the first prediction with a label."""
        ...

    def due(self, after: float, until: float, wait: float) -> Sequence[Due]:
        """In order, labels of predictions after one moment and up to another.

        Only those that came at most `wait` seconds after their prediction. Of more than a few
        thousand the first ones, but all of the same moment.
        """
        ...

    def by_hour(self, until: float, wait: float) -> HourlyLabels:
        """Predictions and labels of each whole hour up to a moment, as far as they are kept.

        Only labels that came at most `wait` seconds after their prediction.
        """
        ...


@dataclass(slots=True)
class Votes:
    """Lets labels vote, and remembers which units have voted on the present day.

    Attributes:
        day: Number of the day; -1 while nothing is remembered.
        voted: Units that have voted on it.
    """

    day: int = -1
    voted: set[str] = field(default_factory=set)

    def advance(
        self, labels: Labels, detector: ChangeDetector, options: FeedbackOptions, now: float
    ) -> tuple[ChangeDetector, list[str]]:
        """Let all vote who are due.

        Args:
            labels: Of the version.
            detector: Of the version.
            options: Of its model.
            now: Unix seconds.

        Returns:
            The detector to go on with, and ``opened`` or ``closed`` for each change of an alarm,
            or ``cannot tell`` where the labelling has changed, too.
        """
        self._check_wait(labels.delays(), detector)
        if detector.outdated:
            if change := detector.end_alarm():
                return detector, [change]  # it is told as that of this detector, then all is new
            detector = begin_anew(detector, options)
            self.day = -1
        if detector.wait is None:
            return detector, []
        if not detector.since:
            detector.since = labels.first()
        wait = detector.wait
        if now < detector.since + max(2 * wait, options.reference_days * _DAY):
            return detector, []  # longer delays may not have been seen yet
        due = labels.due(detector.done_until, now - wait, wait)
        if due and self.day < 0:
            self._recall(labels, detector.done_until, wait)
        return self._vote_all(due, labels, detector, options)

    def _vote_all(
        self, due: Sequence[Due], labels: Labels, detector: ChangeDetector, options: FeedbackOptions
    ) -> tuple[ChangeDetector, list[str]]:
        told = []
        for one in self._voters(due):
            change = self._vote(one, detector, labels, options.false_alarms_per_month)
            if change:
                told.append(change)
            if change == CANNOT_TELL:
                detector.done_until = one.time
                if detector.state == ALARM:  # that it ends is told first
                    detector.outdated = True
                    return detector, told[:-1]
                return begin_anew(detector, options), told
        if due:
            detector.done_until = due[-1].time
        return detector, told

    @staticmethod
    def _vote(one: Due, detector: ChangeDetector, labels: Labels, share: float) -> str:
        """One vote; an alarm is none if labels are given otherwise since it began."""
        if one.source is not None:
            if detector.is_labelled_by_others(one.source):
                return CANNOT_TELL
            if not detector.can_compare(one.source):
                return ""
        change = detector.add(one.loss, one.time, share, one.groups())
        if change != OPENED:
            return change
        assert detector.wait is not None
        found = labels.by_hour(one.time, detector.wait)
        detector.doubt = labelling_change(found, detector.begun)
        if not detector.doubt:
            return OPENED
        detector.end_alarm()
        return CANNOT_TELL

    @staticmethod
    def _check_wait(delays: Floats, detector: ChangeDetector) -> None:
        """Set how long labels take; what was learnt with another wait is outdated."""
        if len(delays) < FEWEST_DELAYS:
            return
        before = detector.wait
        if before is not None:
            in_time = int(np.count_nonzero(delays <= before * GROWTH + 1.0))
            if detector.state != LEARNING:
                if in_time / len(delays) >= IN_TIME:
                    return
            elif in_time > math.ceil(COMPLETE * (len(delays) - 1)):
                return  # both values that the quantile lies between are in time
        new = max(0.0, float(np.quantile(delays, COMPLETE)))
        if before is None:
            detector.wait = new
        elif detector.state != LEARNING or new > before * GROWTH + 1.0:
            detector.wait, detector.outdated = new, True

    def _recall(self, labels: Labels, until: float, wait: float) -> None:
        """See who voted on the day that was under way when the process ended."""
        self.day, self.voted = int(until // _DAY), set()
        at = self.day * _DAY - 1e-3
        while due := labels.due(at, until, wait):
            self.voted.update(one.unit for one in due if one.unit)
            at = due[-1].time

    def _voters(self, due: Sequence[Due]) -> Iterator[Due]:
        """One label of each unit and day; of a request, the first row."""
        before = ""
        for one in due:
            if one.unit:
                if not self._is_first(one):
                    continue
            elif one.request and one.request == before:
                continue
            before = one.request
            yield one

    def _is_first(self, one: Due) -> bool:
        day = int(one.time // _DAY)
        if day != self.day:
            self.day, self.voted = day, set()
        if one.unit in self.voted or len(self.voted) >= MOST_UNITS:
            return False
        self.voted.add(one.unit)
        return True


def begin_anew(detector: ChangeDetector, options: FeedbackOptions) -> ChangeDetector:
    """A detector with a new reference, which is learnt from now on if the labelling changed."""
    if not detector.doubt:
        made = ChangeDetector.of(options)
        made.wait = detector.wait
        return made
    return ChangeDetector(
        options.reference_labels,
        options.reference_days,
        wait=detector.wait,
        since=detector.done_until,
        done_until=detector.done_until,
        doubt=detector.doubt,
    )
