"""A rollout as a value: all that control needs to continue it after a restart. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from .counts import Counts
from .phase import FINAL, Event, Phase, after
from .record import decode, encode
from .rollout_spec import Kind, RolloutSpec, check_spec
from .segment_bins import SegmentScores  # noqa: TC001  msgspec reads the annotations
from .segment_counts import Segments  # noqa: TC001  msgspec reads the annotations
from .traffic import Mirror, Split
from .worst_units import UnitTable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Phases in which the candidate has its share.
SHARING: Final = frozenset(
    {
        Phase.PROGRESSING,
        Phase.HELD,
        Phase.PAUSED,
        Phase.AWAITING_PROMOTION,
        Phase.WATCHING,
    }
)


@dataclass(frozen=True, slots=True)
class Approval:
    """The approval of one candidate by another token than the requester's.

    Attributes:
        by: Name of the token that approves.
        digest: Digest of the version that was approved.
        at: Unix seconds of the approval.
    """

    by: str
    digest: str
    at: float


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a rollout, with the requests counted in it.

    Attributes:
        percent: The candidate's share.
        counts: Requests since the step was decided on; the evidence is computed from them.
        settled: The value of `counts` when every worker had taken up the share; ``None`` until
            then. Only later requests let the step be passed.
        began_at: Unix seconds of the decision on the step; 0 if unknown.
        settled_at: When every worker had taken up the share, Unix seconds; 0 until then.
            Predictions from then until the next step begins were made at this share: their labels
            are in `counts`, whenever they come.
        segments: What was counted of single segments since the step was decided on.
        segment_scores: Of single segments, predictions by bin of stable's score; while every worker
            had the share.
        observed_seconds: Time in which the controller saw the step, settled and with counts.
    """

    percent: float
    counts: Counts = field(default_factory=Counts)
    settled: Counts | None = None
    observed_seconds: float = 0.0
    began_at: float = 0.0
    settled_at: float = 0.0
    segments: Segments = field(default_factory=dict)
    segment_scores: SegmentScores = field(default_factory=dict)

    @property
    def exposure(self) -> Counts:
        """The requests counted while every worker had the share."""
        return Counts() if self.settled is None else self.counts.minus(self.settled)


@dataclass(frozen=True, slots=True)
class Base:
    """The cumulative counters at the time when they were last added to the present step.

    Attributes:
        epoch: Epoch of the counters.
        counts: Values of the counters.
        segments: Values of the counters of single segments.
    """

    epoch: str
    counts: Counts
    segments: Segments = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rollout:
    """A rollout in any phase.

    Attributes:
        id: Unique; salts the choice of arms.
        kind: Shadow, canary or A/B.
        model: Name of the model.
        candidate: The version on trial.
        digest: Digest of the candidate; an approval is bound to it.
        stable: The version that was stable at the start.
        requester: Name of the token that started it.
        terms: The rollout spec.
        started_at: Unix seconds.
        deadline_at: When the controller holds for want of a conclusion, Unix seconds; 0 for never.
        phase: The present phase.
        phase_since: Unix seconds of the beginning of this phase.
        reason: The reason of this phase, as a sentence for people.
        cause: The reason as a short code, for metrics: ``evidence``, ``trip``, ``veto``,
            ``operator``, ``scores``, ``deadline`` and so on.
        by: Name of the token that caused the phase; empty for the controller.
        steps: One for each step begun; the last is the present one.
        base: The counters at the last look; ``None`` before the first look.
        approval: The approval; ``None`` if there is none.
        accepted: Causes of a hold that a person has accepted; they hold the rollout no more.
        seen_at: Unix seconds of the last look.
        saved_at: Unix seconds of the last write that was due for the counts alone.
        units: Units as in the last snapshot.
    """

    id: str
    kind: Kind
    model: str
    candidate: int
    digest: str
    stable: int
    requester: str
    terms: RolloutSpec
    started_at: float
    deadline_at: float = 0.0
    phase: Phase = Phase.PREPARING
    phase_since: float = 0.0
    reason: str = ""
    cause: str = ""
    by: str = ""
    steps: tuple[Step, ...] = ()
    base: Base | None = None
    approval: Approval | None = None
    accepted: tuple[str, ...] = ()
    seen_at: float = 0.0
    saved_at: float = 0.0
    units: UnitTable = field(default_factory=UnitTable)

    @property
    def final(self) -> bool:
        """Whether the rollout is over: no event moves it any more."""
        return self.phase in FINAL

    @property
    def percent(self) -> float:
        """The candidate's share now; of a shadow, the share that is copied."""
        if self.final or not self.steps:
            return 0.0
        return self.steps[-1].percent

    @property
    def approved(self) -> bool:
        """Whether no approval is missing."""
        if not self.terms.require_approval:
            return True
        given = self.approval
        return given is not None and given.digest == self.digest and given.by != self.requester

    def move(self, event: Event, now: float, reason: str, cause: str, by: str = "") -> Rollout:
        """The rollout after an event.

        Raises:
            Conflict: The event cannot happen in this phase.
        """
        phase = after(self.phase, event)
        return replace(self, phase=phase, phase_since=now, reason=reason, cause=cause, by=by)

    def to_json(self) -> dict[str, Any]:
        """The rollout as values that JSON can hold."""
        return encode(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Rollout:
        """The reverse of `to_json`.

        Raises:
            penstock.server.rollout.record.RecordError: The value is no rollout that was written.
        """
        return decode(cls, content)


def begin(
    rollout_id: str,
    kind: Kind,
    model: str,
    versions: tuple[int, int],
    digest: str,
    terms: RolloutSpec,
    requester: str,
    now: float,
) -> Rollout:
    """Make a new rollout in the phase of preparation.

    Args:
        rollout_id: Unique.
        kind: Shadow, canary or A/B.
        model: Name of the model.
        versions: Stable, and the candidate.
        digest: Digest of the candidate.
        terms: Rollout spec of the rollout.
        requester: Name of the token that asks for it.
        now: Unix seconds.

    Raises:
        InvalidRequest: The terms make no sense.
    """
    check_spec(kind, terms)
    stable, candidate = versions
    deadline = now + terms.deadline_seconds if terms.deadline_seconds else 0.0
    return Rollout(
        id=rollout_id,
        kind=kind,
        model=model,
        candidate=candidate,
        digest=digest,
        stable=stable,
        requester=requester,
        terms=terms,
        started_at=now,
        deadline_at=deadline,
        phase_since=now,
        reason="the candidate is being loaded",
        cause="started",
        by=requester,
        seen_at=now,
        saved_at=now,
    )


def split_of(rollout: Rollout) -> Split | None:
    """The split of the requests between both versions; ``None`` if stable serves all."""
    if rollout.kind is Kind.SHADOW or rollout.phase not in SHARING:
        return None
    terms = rollout.terms
    return Split(
        rollout=rollout.id,
        candidate=rollout.candidate,
        percent=rollout.percent,
        sticky=terms.sticky,
        fallback=terms.fallback,
        slow_seconds=terms.slow_seconds,
        slow_factor=terms.slow_factor,
        slo_seconds=terms.slo_seconds,
        warm_up_requests=terms.warm_up_requests,
        warm_up_seconds=terms.warm_up_seconds,
        stable=rollout.stable if rollout.phase is Phase.WATCHING else 0,
        watching=rollout.phase is Phase.WATCHING,
        segments=terms.segments,
    )


def mirror_of(rollout: Rollout, directory: Path | None) -> Mirror | None:
    """The order to the shadow process; ``None`` if it has nothing to compute.

    Args:
        rollout: The rollout, in any phase. During the preparation the candidate is loaded and
            no request is copied.
        directory: Directory of the candidate.
    """
    if rollout.kind is not Kind.SHADOW or rollout.final:
        return None
    return Mirror(rollout.id, rollout.candidate, directory, rollout.percent)
