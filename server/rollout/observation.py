"""Observations of a rollout: new counts are added to the present step. Pure.

The counters are cumulative and belong to the workers; the rollout keeps where they stood. So
adding the new counts gives the same result for any copy of the rollout on disk.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from .counts import Counts
from .phase import Phase
from .rollout import Base, Rollout, Step
from .segment_bins import with_scores
from .segment_counts import added, grown, with_labels

if TYPE_CHECKING:
    from .counts import StepLabels
    from .segment_counts import Segments
    from .snapshot import Snapshot

#: Most seconds between two observations that count as observed, also if the clock jumps.
MAX_INTERVAL_SECONDS: Final = 10.0
#: A clock that went back by less is not reported.
CLOCK_TOLERANCE_SECONDS: Final = 1.0
#: Seconds between two writes of counts alone.
SAVE_SECONDS: Final = 15.0


def steered(rollout: Rollout, snapshot: Snapshot) -> bool:
    """Whether every process had taken up the present share."""
    return snapshot.ready and snapshot.percent == rollout.percent


def set_back_seconds(rollout: Rollout, now: float) -> float:
    """Seconds that the clock went back since the last observation; 0 for a small difference."""
    back = rollout.seen_at - now
    return back if back > CLOCK_TOLERANCE_SECONDS else 0.0


def observe(rollout: Rollout, snapshot: Snapshot, now: float) -> Rollout:
    """The rollout with the new counts of the snapshot.

    Args:
        rollout: The rollout after the last observation.
        snapshot: The observed state of this moment.
        now: Unix seconds; a clock that goes back or jumps costs observed time and nothing else.
    """
    elapsed = min(MAX_INTERVAL_SECONDS, max(0.0, now - rollout.seen_at))
    steps, saved_at = rollout.steps, rollout.saved_at
    if set_back_seconds(rollout, now):
        # Times on disk may lie in the future now. This step is observed from its beginning again.
        elapsed, steps, saved_at = 0.0, _anew(steps), now
    if snapshot.unreadable:
        return replace(rollout, seen_at=now, saved_at=saved_at, steps=steps)
    base = Base(snapshot.epoch, snapshot.counts, snapshot.segments)
    if rollout.phase is not Phase.PREPARING and steps:
        *before, step = steps
        seconds = elapsed if steered(rollout, snapshot) else None
        after = _count(step, rollout, snapshot, seconds, now)
        steps = _with_labels((*before, after), snapshot.labels)
    return replace(
        rollout, seen_at=now, saved_at=saved_at, steps=steps, base=base, units=snapshot.units
    )


def news(rollout: Rollout, snapshot: Snapshot) -> Counts:
    """The counts since the last observation.

    Counters of another epoch began at zero when the whole server did, which was after the present
    step had been put on disk: all they show is new. If counters of one epoch went back,
    the new part is unknown, and nothing counts.
    """
    base = rollout.base
    if base is None:
        return Counts()
    if base.epoch != snapshot.epoch:
        return snapshot.counts
    difference = snapshot.counts.minus(base.counts)
    return difference if difference.smallest() >= 0 else Counts()


def segment_news(rollout: Rollout, snapshot: Snapshot) -> Segments:
    """The counts of single segments since the last observation; see `news`."""
    base = rollout.base
    if base is None:
        return {}
    return grown(base.segments if base.epoch == snapshot.epoch else {}, snapshot.segments)


def next_step(rollout: Rollout, percent: float) -> Rollout:
    """The rollout at the beginning of its next step.

    What is counted from now on belongs to that step, although workers take up the larger share a
    little later; `penstock.server.rollout.arm_evidence` says why that is right.
    """
    return replace(rollout, steps=(*rollout.steps, Step(percent, began_at=rollout.phase_since)))


def save_due(before: Rollout, after: Rollout, now: float) -> bool:
    """Whether counts are due to be written to disk although nothing moved."""
    same = [one.counts for one in before.steps] == [one.counts for one in after.steps]
    return not same and now - after.saved_at >= SAVE_SECONDS


def _count(
    step: Step, rollout: Rollout, snapshot: Snapshot, seconds: float | None, now: float
) -> Step:
    """The present step with the new counts.

    Args:
        step: The step.
        rollout: The rollout after the last observation.
        snapshot: The observed state of this moment.
        seconds: Time since then; ``None`` while not every process has taken up the share.
        now: Unix seconds.
    """
    counts = step.counts.plus(news(rollout, snapshot))
    segments = added(step.segments, segment_news(rollout, snapshot))
    if seconds is None:
        return replace(step, counts=counts, segments=segments)
    if step.settled is None:
        return replace(step, counts=counts, segments=segments, settled=counts, settled_at=now)
    observed = step.observed_seconds + seconds
    return replace(step, counts=counts, segments=segments, observed_seconds=observed)


def _with_labels(steps: tuple[Step, ...], labels: tuple[StepLabels, ...]) -> tuple[Step, ...]:
    """The steps with what is known by now of the predictions that were made in each."""
    if not labels:
        return steps
    known = {one.began_at: one for one in labels}
    return tuple(
        replace(
            step,
            counts=known[step.began_at].put(step.counts),
            segments=with_labels(step.segments, known[step.began_at].segments),
            segment_scores=with_scores(step.segment_scores, known[step.began_at].segment_scores),
        )
        if step.began_at in known
        else step
        for step in steps
    )


def _anew(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    return tuple(replace(one, observed_seconds=0.0) if one is steps[-1] else one for one in steps)
