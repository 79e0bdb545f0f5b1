"""The test for change over a recorded stream of labels, as the monitor would have seen it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from .change_detector import CANNOT_TELL, ChangeDetector
from .label import class_name
from .labelling import HourlyLabels
from .reference import HOUR
from .votes import Due, Votes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .options import FeedbackOptions
    from .outputs import Floats

#: The monitor is asked so often.
STEP_SECONDS: Final = 3600.0
_MOST_DELAYS: Final = 5_000


@dataclass(frozen=True, slots=True)
class LabelEvents:
    """Labelled predictions of one version, `n` entries, in any order.

    The first three say all that the test needs. What else is given shows it that other predictions
    are labelled than before.

    Attributes:
        predicted_at: Shape ``(n,)``, Unix seconds (UTC) of the prediction.
        received_at: Shape ``(n,)``, Unix seconds when its label came; not before the prediction.
        loss: Shape ``(n,)``, 0 (right) or 1 (wrong) of a class, the absolute error of a number.
        unit: `n` names of the unit of each, such as a user; ``None`` where each stands for itself.
        predicted: `n` predicted classes; ``None`` for numbers.
        truth: `n` true classes; ``None`` for numbers.
        source: `n` names of who labelled it; ``None`` where it is always the same.
        made_at: Shape ``(m,)``, Unix seconds of all predictions, labelled or not; ``None`` where
            nobody knows.
    """

    predicted_at: Floats
    received_at: Floats
    loss: Floats
    unit: Sequence[str] | None = None
    predicted: Sequence[Any] | None = None
    truth: Sequence[Any] | None = None
    source: Sequence[str] | None = None
    made_at: Floats | None = None


class Change(NamedTuple):
    """An alarm that began or ended, or one that there is not because nobody can tell.

    Attributes:
        time: Unix seconds when the monitor saw it.
        what: ``opened``: the version has become worse. ``closed``: it is as good as before.
            ``cannot tell``: more of the labelled predictions are wrong, but labels are given
            otherwise than before, too; the reference is learnt anew from then on.
        votes: Votes until then, of the present reference.
        reason: Of ``cannot tell``: how the labelling has changed; else empty.
    """

    time: float
    what: str
    votes: int
    reason: str = ""


def change(events: LabelEvents, options: FeedbackOptions) -> list[Change]:
    """Find when a version became worse, in the order of time.

    While nothing changes, ``opened`` is found in `options.false_alarms_per_month` of all stretches
    of 30 days at most; ``docs/trust.md`` has the conditions and the simulated rates.

    Args:
        events: Labels of one version, from its first prediction on.
        options: As in ``[feedback]`` of ``model.toml``; with the defaults the votes of the first
            seven days, and 1,000 at least, are the reference.

    Returns:
        Nothing for a version that stays as it was. Of the last predictions, those do not count
        whose labels may still come (see `penstock.monitoring.feedback.votes`).

    Raises:
        ValueError: The arrays differ in length, or hold NaN or infinity.

    Example:
        >>> import numpy as np
        >>> from penstock.monitoring.feedback import LabelEvents, change
        >>> from penstock.monitoring.feedback.options import FeedbackOptions
        >>> times = 1.7e9 + np.arange(3000) * 600.0  # one each ten minutes
        >>> loss = (np.arange(3000) % np.where(np.arange(3000) < 2000, 10, 3) == 0).astype(float)
        >>> [one.what for one in change(LabelEvents(times, times + 60, loss), FeedbackOptions())]
        ['opened']
    """
    _check(events)
    if not len(events.loss):
        return []
    labels = _Recorded(events)
    detector, votes, found = ChangeDetector.of(options), Votes(), []
    end = float(events.received_at.max()) + STEP_SECONDS
    for now in np.arange(float(events.predicted_at.min()), end + STEP_SECONDS, STEP_SECONDS):
        labels.now = float(now)
        before = detector
        detector, told = votes.advance(labels, detector, options, float(now))
        for what in told:
            reason = detector.doubt if what == CANNOT_TELL else ""
            found.append(Change(float(now), what, before.labels, reason))
    return found


def _check(events: LabelEvents) -> None:
    arrays = events.predicted_at, events.received_at, events.loss
    named = events.unit, events.predicted, events.truth, events.source
    lengths = {len(one) for one in (*arrays, *named) if one is not None}
    if len(lengths) > 1:
        raise ValueError(f"the arrays have {sorted(lengths)} entries, expected as many in each")
    made = () if events.made_at is None else (events.made_at,)
    if not all(np.isfinite(one).all() for one in (*arrays, *made)):
        raise ValueError("times and losses must be numbers, NaN and infinity are none")


class _Recorded:
    """Implements `penstock.monitoring.feedback.votes.Labels` over arrays."""

    def __init__(self, events: LabelEvents) -> None:
        order = np.argsort(events.predicted_at, kind="stable")
        self.now = 0.0
        self._times = np.asarray(events.predicted_at, float)[order]
        self._received = np.asarray(events.received_at, float)[order]
        self._due = _all_due(events, order.tolist())
        self._made = None if events.made_at is None else np.asarray(events.made_at, float)
        arrived = np.argsort(self._received, kind="stable")
        self._arrivals = self._received[arrived]
        self._delays = (self._received - self._times)[arrived]

    def delays(self) -> Floats:
        """See `Labels.delays`."""
        count = int(np.searchsorted(self._arrivals, self.now, side="right"))
        latest: Floats = self._delays[max(0, count - _MOST_DELAYS) : count]
        return latest

    def first(self) -> float:
        """See `Labels.first`."""
        return float(self._times[0])

    def due(self, after: float, until: float, wait: float) -> Sequence[Due]:
        """See `Labels.due`."""
        low, high = np.searchsorted(self._times, (after, until), side="right")
        here = np.arange(low, high)
        received = self._received[low:high]
        here = here[(received <= self.now) & (received - self._times[low:high] <= wait)]
        return [self._due[one] for one in here.tolist()]

    def by_hour(self, until: float, wait: float) -> HourlyLabels:
        """See `Labels.by_hour`."""
        hours = np.arange(self._times[0] // HOUR + 1, until // HOUR)
        came = (self._received - self._times <= wait) & (self._received <= self.now)
        return HourlyLabels(
            hours,
            _per_hour(self._times[came], hours),
            None if self._made is None else _per_hour(self._made, hours),
        )


def _all_due(events: LabelEvents, order: Sequence[int]) -> list[Due]:
    """The label of each event, in this order."""
    times, losses = (np.asarray(one, float).tolist() for one in (events.predicted_at, events.loss))
    unit, source, predicted, truth = events.unit, events.source, events.predicted, events.truth
    return [
        Due(
            times[one],
            losses[one],
            unit="" if unit is None else str(unit[one]),
            request="",
            source=None if source is None else str(source[one]),
            predicted=None if predicted is None else class_name(predicted[one]),
            truth=None if truth is None else class_name(truth[one]),
        )
        for one in order
    ]


def _per_hour(times: Floats, hours: Floats) -> Floats:
    """How many of the times are in each hour; the hours follow one another."""
    if not len(hours):
        return np.zeros(0)
    places = (times // HOUR - hours[0]).astype(np.int64)
    inside = (places >= 0) & (places < len(hours))
    counts: Floats = np.bincount(places[inside], minlength=len(hours)).astype(float)
    return counts
