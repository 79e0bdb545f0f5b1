"""Decides about a rollout at one moment. Pure: (rollout, snapshot, now) to a decision.

The controller may abort in every phase that is not final, and never takes an abort back. It goes
forward only from a step that it has observed in full. Without data nothing moves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .evidence import (
    PARTS,
    SEGMENTS,
    UNITS,
    evidence_against,
    labels_count,
    score_change,
    score_changes,
    weights_of,
)
from .observation import next_step, observe, save_due, set_back_seconds, steered
from .phase import Event, Phase
from .rollout_spec import FULL, Kind
from .segment_counts import MOST_SEGMENTS
from .segment_evidence import describe_segment, worst_segment
from .step_gate import describe_units, unmet_condition

if TYPE_CHECKING:
    from .evidence import Evidence
    from .rollout import Rollout
    from .snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision about a rollout at one moment.

    Attributes:
        rollout: The rollout with the new counts; the next decision starts from it.
        event: The event that moved it; ``None`` if it did not move. A move is put on disk and on
            record before workers are told.
        cause: A short code of the missing condition, or of the reason of the move.
        message: The cause as a sentence for people.
        evidence: Against the candidate as of now, computed once for each look: the move, the record
            of it and the history use it as it is.
        save: Whether it should be written to disk even if nothing moved, so that a restart of the
            whole server loses little evidence. At most every few seconds.
    """

    rollout: Rollout
    event: Event | None
    cause: str
    message: str
    evidence: Evidence
    save: bool


@dataclass(frozen=True, slots=True)
class _Verdict:
    """An event and its reason, or the reason why there is none."""

    event: Event | None
    cause: str
    message: str


def decide(rollout: Rollout, snapshot: Snapshot, now: float) -> Decision:
    """Decide about a rollout: the pure entry point of all automatic moves.

    `penstock.server.rollout.rollout.begin` makes the first rollout; each decision's rollout goes
    into the next call. Counters in the snapshot are cumulative whole numbers of requests since
    `epoch` began; shares are percentages, 0 to 100; a call may come at any time and as often as
    one likes. The evidence is an e-process: a candidate that is no worse is ever aborted by it with
    the probability ``rollout.terms.alpha`` at most, whenever it is looked at.

    Args:
        rollout: The rollout after the last decision or command, in any phase.
        snapshot: The observed state of this moment. Without `ready` a rollout that is being
            prepared waits; without `percent` equal to the rollout's share no step is passed.
        now: Unix seconds, or seconds of any other clock that is used throughout. Going back or
            jumping costs observed time and nothing else.

    Returns:
        The rollout with the new counts, what moved it, and why. It never raises for a rollout that
        `begin` or an earlier decision made.

    Sources: arXiv 2205.14762, 2011.03567, 1906.07801, 1912.06116.

    Example:
        >>> from penstock.server.rollout.counts import ArmCounts, Counts
        >>> from penstock.server.rollout.decision import decide
        >>> from penstock.server.rollout.rollout import begin
        >>> from penstock.server.rollout.rollout_spec import Kind, RolloutSpec
        >>> from penstock.server.rollout.snapshot import Snapshot
        >>> spec = RolloutSpec(steps=(5.0, 100.0))
        >>> one = begin("r1", Kind.CANARY, "churn", (1, 2), "sha256:00", spec, "ann", 0.0)
        >>> one = decide(one, Snapshot(ready=True, epoch="a"), 1.0).rollout
        >>> one = decide(one, Snapshot(ready=True, epoch="a", percent=one.percent), 2.0).rollout
        >>> bad = Counts(stable=ArmCounts(950), canary=ArmCounts(50, errors=25))
        >>> found = decide(one, Snapshot(bad, ready=True, epoch="a", percent=one.percent), 3.0)
        >>> found.event.name, found.cause
        ('ABORT', 'evidence')
    """
    seen = rollout if rollout.final else observe(rollout, snapshot, now)
    evidence = evidence_against(seen)
    verdict = _evaluate(rollout, seen, snapshot, now, evidence)
    save = not rollout.final and save_due(rollout, seen, now)
    if verdict.event is not None:
        seen = _carry_out(seen, verdict, verdict.event, now)
    if save or verdict.event is not None:
        seen = replace(seen, saved_at=now)
    return Decision(seen, verdict.event, verdict.cause, verdict.message, evidence, save)


def _evaluate(
    before: Rollout, seen: Rollout, snapshot: Snapshot, now: float, evidence: Evidence
) -> _Verdict:
    if seen.final:
        return _Verdict(None, "final", f"{seen.phase}: {seen.reason}")
    against = _against(seen, snapshot, evidence)
    if against is not None:
        return against  # an abort comes first: no wait, hold or missing figure may prevent it
    waits = f"{seen.phase} until a person decides: {seen.reason}"
    if seen.phase is Phase.HELD:  # the reason of the hold, before the first look and after it
        return _Verdict(None, seen.cause or "held", waits)
    if seen.phase is Phase.PAUSED:
        return _Verdict(None, "paused", waits)
    return _unsure(before, snapshot, now) or _by_phase(seen, snapshot, now)


def _by_phase(seen: Rollout, snapshot: Snapshot, now: float) -> _Verdict:
    if seen.phase is Phase.PREPARING:
        return _prepare(snapshot)
    if seen.phase is Phase.AWAITING_PROMOTION:
        return _await(seen)
    if seen.phase is Phase.WATCHING:
        return _watch(seen, now)
    return _progress(seen, snapshot, now)


def _against(seen: Rollout, snapshot: Snapshot, evidence: Evidence) -> _Verdict | None:
    """The reason to abort the rollout, if there is one."""
    if snapshot.hard_failures:
        return _Verdict(Event.ABORT, "trip", "; ".join(snapshot.hard_failures))
    if snapshot.vetoes:
        return _Verdict(Event.ABORT, "veto", f"vetoed from outside: {', '.join(snapshot.vetoes)}")
    limit = 1.0 / seen.terms.alpha
    if evidence.total < limit:
        return None
    return _Verdict(Event.ABORT, "evidence", _charge(seen, evidence, limit))


def _unsure(before: Rollout, snapshot: Snapshot, now: float) -> _Verdict | None:
    """The reason why the controller cannot decide, if there is one."""
    if snapshot.unreadable:
        return _Verdict(
            None, "metrics", f"the counts cannot be read, so nothing moves: {snapshot.unreadable}"
        )
    back = set_back_seconds(before, now)
    if back:
        return _Verdict(
            None, "clock", f"the clock was set back by {back:.0f} s; the step's time begins anew"
        )
    return None


def _prepare(snapshot: Snapshot) -> _Verdict:
    if snapshot.ready:
        return _Verdict(Event.READY, "ready", "the candidate is ready on every process")
    return _Verdict(None, "preparing", "the candidate is not ready on every process yet")


def _await(seen: Rollout) -> _Verdict:
    if not seen.approved:
        return _Verdict(
            None,
            "approval",
            f"all steps are done; waits for the approval of {seen.digest} by another person than "
            f"{seen.requester}",
        )
    if not seen.terms.promotes:
        return _Verdict(None, "promotion", "all steps are done; waits for a person to promote it")
    return _promotion(seen, "approved", "all steps are done and it is approved")


def _promotion(seen: Rollout, cause: str, message: str) -> _Verdict:
    """Promote the candidate; during a watch it is still compared with the old version."""
    if not seen.terms.watch_seconds:
        return _Verdict(Event.SUCCEED, cause, message)
    share = FULL - seen.terms.watched_percent
    watched = f"{message}; watched while version {seen.stable} keeps {share:g} %"
    return _Verdict(Event.WATCH, cause, watched)


def _watch(seen: Rollout, now: float) -> _Verdict:
    left = seen.phase_since + seen.terms.watch_seconds - now
    if left > 0:
        share = FULL - seen.percent
        return _Verdict(
            None,
            "watching",
            f"promoted; compared for {left:.0f} s more with version {seen.stable}, which keeps "
            f"{share:g} %",
        )
    return _Verdict(Event.SUCCEED, "watched", "nothing spoke against it while it was watched")


def _progress(seen: Rollout, snapshot: Snapshot, now: float) -> _Verdict:
    if seen.deadline_at and now >= seen.deadline_at:
        missing = unmet_condition(seen)
        why = missing[1] if missing else "the last look came too late"
        return _Verdict(Event.HOLD, "deadline", f"inconclusive at the deadline: {why}")
    change = score_change(seen)
    if change >= 1.0 / seen.terms.alpha and "scores" not in seen.accepted:
        return _Verdict(
            Event.HOLD,
            "scores",
            f"the candidate distributes its scores differently (E = {change:.3g}{_where(seen)}), "
            "which may be right; a person should look",
        )
    if not steered(seen, snapshot):
        return _Verdict(None, "steering", "not every process has taken up the share yet")
    missing = unmet_condition(seen)
    if missing is not None:
        return _Verdict(None, *missing)
    return _forward(seen)


def _where(seen: Rollout) -> str:
    """The segment whose scores have changed most, if it alone would be reason enough."""
    worst = next(iter(score_changes(seen)), None)
    if worst is None or worst.value < MOST_SEGMENTS / seen.terms.alpha:
        return ""
    return f"; segment {worst.name}: E = {worst.value:.3g} of {worst.scores} scores"


def _forward(seen: Rollout) -> _Verdict:
    """The verdict after a passed step: the next step, or the end."""
    if seen.kind is Kind.SHADOW:
        return _Verdict(Event.FINISH, "agreement", "the shadow agrees with stable")
    ramp = seen.terms.ramp(seen.kind)
    if len(seen.steps) < len(ramp):
        share = ramp[len(seen.steps)]
        return _Verdict(Event.ADVANCE, "passed", f"step passed; goes on to {share:g} %")
    if seen.terms.promotes and seen.approved:
        return _promotion(seen, "passed", "all steps are passed")
    wanted = "an approval" if not seen.approved else "a person's promotion"
    return _Verdict(Event.COMPLETE, "passed", f"all steps are passed; waits for {wanted}")


def _carry_out(seen: Rollout, verdict: _Verdict, event: Event, now: float) -> Rollout:
    after = seen.move(event, now, verdict.message, verdict.cause)
    if event is Event.WATCH:
        return next_step(after, seen.terms.watched_percent)
    if event in {Event.READY, Event.ADVANCE}:
        return next_step(after, seen.terms.ramp(seen.kind)[len(seen.steps)])
    return after


def _charge(seen: Rollout, evidence: Evidence, limit: float) -> str:
    """The evidence as a sentence: the part with the largest weight, and its counts."""
    weights = weights_of(seen.kind, evidence.parts)
    worst = max(weights, key=lambda part: weights[part] * evidence.parts[part])
    head = f"E = {evidence.total:.3g}, aborts at {limit:g}; most of it {worst}"
    if seen.kind is Kind.SHADOW:
        pairs = [step.counts.pairs for step in seen.steps]
        differing, compared = sum(p.disagreements for p in pairs), sum(p.pairs for p in pairs)
        return f"{head}; {differing} of {compared} requests disagree"
    segment = worst_segment(seen, labels=labels_count(seen)) if seen.terms.segments else None
    if worst == SEGMENTS and segment is not None:
        return f"{head}: {describe_segment(seen, segment)}"
    tail = "" if segment is None else f"; {describe_segment(seen, segment)}"
    if worst == UNITS:
        return f"{head}: {describe_units(seen)}{tail}"
    part = PARTS[worst]
    canary = sum(part.requests(step.counts.canary) for step in seen.steps)
    stable = sum(part.requests(step.counts.stable) for step in seen.steps)
    requests = sum(step.counts.canary.requests for step in seen.steps)
    return (
        f"{head}: {canary} of the candidate's {requests} requests, while stable had {stable} of "
        f"{sum(step.counts.stable.requests for step in seen.steps)}{tail}"
    )
