"""A look at a rollout: what is new since the last one is added to the present step. Pure.

The counters are cumulative and belong to the workers; the rollout keeps where they stood. So
whatever copy of it is read back from disk, adding what is new gives the same counts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from .counts import Counts
from .phase import Phase
from .rollout import Base, Rollout, Step

if TYPE_CHECKING:
    from .snapshot import Snapshot

#: Between two looks no more time than this counts as observed, however far the clock went.
MAX_INTERVAL_SECONDS: Final = 10.0
#: A clock that went back by less is not worth a word.
CLOCK_TOLERANCE_SECONDS: Final = 1.0
#: How often counts alone are written to disk.
SAVE_SECONDS: Final = 15.0


def steered(rollout: Rollout, snapshot: Snapshot) -> bool:
    """Whether every process had taken up the present share."""
    return snapshot.ready and snapshot.percent == rollout.percent


def set_back_seconds(rollout: Rollout, now: float) -> float:
    """By how much the clock went back since the last look; 0 if it did not, to speak of."""
    back = rollout.seen_at - now
    return back if back > CLOCK_TOLERANCE_SECONDS else 0.0


def observe(rollout: Rollout, snapshot: Snapshot, now: float) -> Rollout:
    """The rollout with everything that is new in the snapshot.

    Args:
        rollout: As after the last look.
        snapshot: The look.
        now: Unix seconds; a clock that goes back or jumps costs observed time and nothing else.
    """
    elapsed = min(MAX_INTERVAL_SECONDS, max(0.0, now - rollout.seen_at))
    seen = replace(rollout, seen_at=now)
    if set_back_seconds(rollout, now):
        # Times on disk may lie in the future now. What was seen of this step is seen again.
        elapsed = 0.0
        seen = replace(seen, saved_at=now, steps=_anew(rollout.steps))
    if snapshot.unreadable:
        return seen
    base = Base(snapshot.epoch, snapshot.counts)
    seen = replace(seen, base=base, loss_e=snapshot.loss_e, units=snapshot.units)
    if rollout.phase is Phase.PREPARING or not seen.steps:
        return seen
    *before, step = seen.steps
    after = _count(step, news(rollout, snapshot))
    if steered(rollout, snapshot):
        after = _settle(after, elapsed)
    return replace(seen, steps=(*before, after))


def news(rollout: Rollout, snapshot: Snapshot) -> Counts:
    """What was counted since the last look.

    Counters of another epoch began at zero when the whole server did, which was after the present
    step had been put on disk: all they show is new. If counters of one epoch went back, nobody
    knows what is new, and nothing counts.
    """
    base = rollout.base
    if base is None:
        return Counts()
    if base.epoch != snapshot.epoch:
        return snapshot.counts
    difference = snapshot.counts.minus(base.counts)
    return difference if difference.smallest() >= 0 else Counts()


def next_step(rollout: Rollout, percent: float) -> Rollout:
    """The rollout at the beginning of its next step.

    What is counted from now on belongs to that step, although workers take up the larger share a
    little later; `penstock.server.rollout.arm_evidence` says why that is right.
    """
    return replace(rollout, steps=(*rollout.steps, Step(percent)))


def save_due(before: Rollout, after: Rollout, now: float) -> bool:
    """Whether there are counts worth writing to disk although nothing moved."""
    same = [one.counts for one in before.steps] == [one.counts for one in after.steps]
    return not same and now - after.saved_at >= SAVE_SECONDS


def _count(step: Step, more: Counts) -> Step:
    return replace(step, counts=step.counts.plus(more))


def _settle(step: Step, elapsed: float) -> Step:
    if step.settled is None:
        return replace(step, settled=step.counts)
    return replace(step, observed_seconds=step.observed_seconds + elapsed)


def _anew(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    return tuple(replace(one, observed_seconds=0.0) if one is steps[-1] else one for one in steps)
