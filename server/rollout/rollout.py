"""A rollout: everything that is needed to go on with it from disk. Pure values."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from .counts import Counts
from .phase import FINAL, Event, Phase, after
from .record import decode, encode
from .rollout_spec import Kind, RolloutSpec, check_spec
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
    """Somebody else than the requester says yes to one candidate.

    Attributes:
        by: Who.
        digest: Digest of the version that was approved.
        at: When, Unix seconds.
    """

    by: str
    digest: str
    at: float


@dataclass(frozen=True, slots=True)
class Step:
    """What was counted in one step.

    Attributes:
        percent: The candidate's share.
        counts: Since the step was decided on: what the evidence rests on.
        settled: Where `counts` stood when every worker had taken up the share; ``None`` until
            then. What came later is what the step is passed by.
        began_at: When it was decided on, Unix seconds; 0 if that is not known.
        settled_at: When every worker had taken up the share, Unix seconds; 0 until then.
            Predictions from then until the next step begins were made at this share: their labels
            are in `counts`, whenever they come.
        segments: What was counted of single segments since the step was decided on.
        observed_seconds: Time in which the controller saw the step, settled and with counts.
    """

    percent: float
    counts: Counts = field(default_factory=Counts)
    settled: Counts | None = None
    observed_seconds: float = 0.0
    began_at: float = 0.0
    settled_at: float = 0.0
    segments: Segments = field(default_factory=dict)

    @property
    def exposure(self) -> Counts:
        """What was counted while every worker had the share."""
        return Counts() if self.settled is None else self.counts.minus(self.settled)


@dataclass(frozen=True, slots=True)
class Base:
    """Where the cumulative counters stood when they were last added to the present step.

    Attributes:
        epoch: Epoch of the counters.
        counts: What they showed.
        segments: What those of single segments showed.
    """

    epoch: str
    counts: Counts
    segments: Segments = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rollout:
    """A rollout in whatever phase.

    Attributes:
        id: Unique; salts the choice of arms.
        kind: Shadow, canary or A/B.
        model: Name of the model.
        candidate: The version on trial.
        digest: Digest of the candidate; an approval is bound to it.
        stable: The version that was stable at the start.
        requester: Who started it.
        terms: What was agreed on.
        started_at: Unix seconds.
        deadline_at: When the controller holds for want of a conclusion, Unix seconds; 0 for never.
        phase: Where it stands.
        phase_since: Since when, Unix seconds.
        reason: Why it is in this phase; for people.
        cause: The same as a short code, for metrics: ``evidence``, ``trip``, ``veto``,
            ``operator``, ``scores``, ``deadline`` and so on.
        by: Who brought it there; empty for the controller.
        steps: One for each step begun; the last is the present one.
        base: Where the counters stood; ``None`` before the first look.
        approval: If somebody approved.
        accepted: Causes for a hold that a person has seen and wants to go on with.
        seen_at: Of the last look, Unix seconds.
        saved_at: When it was last meant to be written to disk for its counts' sake, Unix seconds.
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
        """Whether nothing can happen to it any more."""
        return self.phase in FINAL

    @property
    def percent(self) -> float:
        """The candidate's share now; of a shadow, the share that is copied."""
        if self.final or not self.steps:
            return 0.0
        return self.steps[-1].percent

    @property
    def approved(self) -> bool:
        """Whether it has the approval that it requires, if it does."""
        if not self.terms.require_approval:
            return True
        given = self.approval
        return given is not None and given.digest == self.digest and given.by != self.requester

    def move(self, event: Event, now: float, reason: str, cause: str, by: str = "") -> Rollout:
        """The rollout after an event.

        Raises:
            Conflict: It cannot happen in this phase.
        """
        phase = after(self.phase, event)
        return replace(self, phase=phase, phase_since=now, reason=reason, cause=cause, by=by)

    def to_json(self) -> dict[str, Any]:
        """As what JSON can hold."""
        return encode(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Rollout:
        """The reverse of `to_json`.

        Raises:
            penstock.server.rollout.record.RecordError: It is not what was written.
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
    """A new rollout, whose candidate is to be made ready.

    Args:
        rollout_id: Unique.
        kind: Shadow, canary or A/B.
        model: Name of the model.
        versions: Stable, and the candidate.
        digest: Digest of the candidate.
        terms: Rollout spec of the rollout.
        requester: Who wants it.
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
    """How requests are to be shared; ``None`` if all are stable's."""
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
    """What the shadow process is to compute; ``None`` for nothing.

    Args:
        rollout: In whatever phase; while it is prepared, nothing is copied but the candidate is
            loaded.
        directory: Where the candidate is.
    """
    if rollout.kind is not Kind.SHADOW or rollout.final:
        return None
    return Mirror(rollout.id, rollout.candidate, directory, rollout.percent)
