"""The test for change over a recorded stream of labels, as the monitor would have seen it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from .change_detector import ChangeDetector
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
    """Labelled predictions of one version, one entry each, in any order.

    Attributes:
        predicted_at: Unix seconds of the prediction.
        received_at: Unix seconds when its label came; not before the prediction.
        loss: 0 or 1 of a class, the absolute error of a number.
        unit: The unit of each, such as a user; ``None`` where each stands for itself.
    """

    predicted_at: Floats
    received_at: Floats
    loss: Floats
    unit: Sequence[str] | None = None


class Change(NamedTuple):
    """An alarm that began or ended.

    Attributes:
        time: Unix seconds when the monitor saw it.
        what: ``opened`` or ``closed``.
        votes: Votes until then.
    """

    time: float
    what: str
    votes: int


def change(events: LabelEvents, options: FeedbackOptions) -> list[Change]:
    """Alarms in the order of their time.

    Args:
        events: Of one version.
        options: As in ``[feedback]`` of ``model.toml``.

    Raises:
        ValueError: The arrays differ in length, or hold NaN.
    """
    arrays = events.predicted_at, events.received_at, events.loss
    lengths = {len(one) for one in arrays} | (
        {len(events.unit)} if events.unit is not None else set()
    )
    if len(lengths) > 1:
        raise ValueError(f"the arrays have {sorted(lengths)} entries, expected as many in each")
    if any(np.isnan(one).any() for one in arrays):
        raise ValueError("times and losses must be numbers, NaN is none")
    labels = _Recorded(events)
    detector, votes, found = ChangeDetector.of(options), Votes(), []
    if not len(events.loss):
        return []
    end = float(events.received_at.max()) + STEP_SECONDS
    for now in np.arange(float(events.predicted_at.min()), end + STEP_SECONDS, STEP_SECONDS):
        labels.now = float(now)
        detector, told = votes.advance(labels, detector, options, float(now))
        found += [Change(float(now), one, detector.labels) for one in told]
    return found


class _Recorded:
    """Implements `penstock.monitoring.feedback.votes.Labels` over arrays."""

    def __init__(self, events: LabelEvents) -> None:
        order = np.argsort(events.predicted_at, kind="stable")
        self.now = 0.0
        self._times = events.predicted_at[order]
        self._received = events.received_at[order]
        self._losses = events.loss[order]
        self._units = None if events.unit is None else [events.unit[one] for one in order.tolist()]
        arrived = np.argsort(self._received, kind="stable")
        self._arrivals = self._received[arrived]
        self._delays = (self._received - self._times)[arrived]

    def delays(self) -> Floats:
        """See `Labels.delays`."""
        count = int(np.searchsorted(self._arrivals, self.now, side="right"))
        return self._delays[max(0, count - _MOST_DELAYS) : count]

    def first(self) -> float:
        """See `Labels.first`."""
        return float(self._times[0])

    def due(self, after: float, until: float, wait: float) -> Sequence[Due]:
        """See `Labels.due`."""
        low, high = np.searchsorted(self._times, (after, until), side="right")
        here = np.arange(low, high)
        received = self._received[low:high]
        here = here[(received <= self.now) & (received - self._times[low:high] <= wait)]
        return [
            Due(
                float(self._times[one]),
                float(self._losses[one]),
                "" if self._units is None else self._units[one],
                "",
            )
            for one in here.tolist()
        ]
