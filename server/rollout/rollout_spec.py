"""The terms of a rollout. They never change after its start."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from penstock.server.errors import InvalidRequest

#: Steps of one rollout, at most.
MAX_STEPS: Final = 20
FULL: Final = 100.0


class Kind(StrEnum):
    """The kinds of rollouts: each uses its candidate in another way."""

    #: Computes a copy of the traffic; callers never see its answers.
    SHADOW = "shadow"
    #: Serves a growing share, and becomes stable if nothing speaks against it.
    CANARY = "canary"
    #: Serves a fixed share, so that both can be compared.
    AB = "ab"


@dataclass(frozen=True, slots=True)
class RolloutSpec:
    """The terms of a rollout.

    Attributes:
        steps: Shares of the candidate in percent, ascending. A canary whose steps end in 100 is
            promoted after the step before; otherwise it stays at its last step and awaits a
            person's promotion. A shadow and an A/B comparison have one step.
        hold_seconds: Shortest time in each step.
        min_requests: Fewest requests of the candidate in each step.
        max_bad_percent: A step is passed when the candidate's share of bad requests is below this
            with 95 % confidence, or no worse than 1.5 times stable's.
        alpha: Probability, at most, of aborting a candidate that is no worse. Its inverse is the
            E value at which the controller aborts.
        require_approval: Whether another person than the requester has to approve.
        deadline_seconds: After this the controller holds and says that it came to no conclusion;
            0 for never.
        sticky: Request header whose value chooses the arm; empty for the request id.
        fallback: Whether stable answers what the candidate fails at.
        slow_seconds: A later answer is slow, as long as too little is known of stable's latency at
            the time: the larger of the objective and `slow_factor` times stable's 99th percentile
            at the start; 0 for none.
        slow_factor: An answer is slow if it takes longer than so many times the 99th percentile of
            stable's answers of the last minute.
        slo_seconds: The latency objective; what is within it is never slow. 0 for none.
        warm_up_requests: First requests of the candidate in each process whose latency is not
            judged.
        warm_up_seconds: The same of the time after its first request in a process.
        watch_seconds: How long the candidate is watched after its promotion; 0 for not at all.
        holdback_percent: Share that the version before keeps meanwhile, no more than the
            candidate had in its last step.
        segments: Fields that divide the requests into segments, each of which is watched; as
            ``model.toml`` had them when the rollout began.
        max_disagreement_percent: Requests of a shadow that may disagree; what counts as that is
            said by ``[rollout.tolerance]``.
    """

    steps: tuple[float, ...] = (1.0, 5.0, 25.0, 50.0, 100.0)
    hold_seconds: float = 300.0
    min_requests: int = 300
    max_bad_percent: float = 1.0
    alpha: float = 0.05
    require_approval: bool = False
    deadline_seconds: float = 86_400.0
    sticky: str = ""
    fallback: bool = True
    slow_seconds: float = 0.0
    slow_factor: float = 2.0
    slo_seconds: float = 0.0
    warm_up_requests: int = 20
    warm_up_seconds: float = 10.0
    max_disagreement_percent: float = 2.0
    watch_seconds: float = 86_400.0
    holdback_percent: float = 5.0
    segments: tuple[str, ...] = ()

    @property
    def promotes(self) -> bool:
        """Whether the controller may promote after the last step."""
        return self.steps[-1] == FULL

    @property
    def watched_percent(self) -> float:
        """Share of the candidate after its promotion, while it is watched."""
        last = max((one for one in self.steps if one < FULL), default=self.holdback_percent)
        return FULL - min(self.holdback_percent, last)

    def ramp(self, kind: Kind) -> tuple[float, ...]:
        """The shares that the candidate has one after the other; a canary's 100 is a promotion."""
        return tuple(one for one in self.steps if kind is not Kind.CANARY or one < FULL)


def check_spec(kind: Kind, spec: RolloutSpec) -> None:
    """Check that a rollout can have these terms.

    Raises:
        InvalidRequest: A rollout cannot have them; the message says what was expected.
    """
    steps = spec.steps
    if not 1 <= len(steps) <= MAX_STEPS:
        raise InvalidRequest(f"there are {len(steps)} steps, expected 1 to {MAX_STEPS}")
    if any(not 0 < one <= FULL for one in steps) or list(steps) != sorted(set(steps)):
        shown = ", ".join(f"{one:g}" for one in steps)
        raise InvalidRequest(
            f"the steps are {shown}; expected percentages above 0, at most 100, ascending"
        )
    if kind is not Kind.CANARY and len(steps) != 1:
        raise InvalidRequest(f"a rollout of kind {kind} has one share, not {len(steps)} steps")
    if kind is not Kind.SHADOW and steps[0] == FULL:
        raise InvalidRequest(
            "the first step is 100 %, which leaves nothing to compare with; promote the version "
            "instead, or begin below"
        )
    _between("alpha", spec.alpha, 1e-9, 0.5)
    _between("max_bad_percent", spec.max_bad_percent, 0.0, FULL)
    _between("hold_seconds", spec.hold_seconds, 0.0, math.inf)
    _between("min_requests", spec.min_requests, 1, math.inf)
    _between("deadline_seconds", spec.deadline_seconds, 0.0, math.inf)
    _between("slow_seconds", spec.slow_seconds, 0.0, math.inf)
    _between("watch_seconds", spec.watch_seconds, 0.0, math.inf)
    _between("holdback_percent", spec.holdback_percent, 0.1, 50.0)
    _between("slow_factor", spec.slow_factor, 1.0, 100.0)
    _between("slo_seconds", spec.slo_seconds, 0.0, math.inf)
    _between("warm_up_requests", spec.warm_up_requests, 0, 1_000_000)
    _between("warm_up_seconds", spec.warm_up_seconds, 0.0, 3600.0)
    _between("max_disagreement_percent", spec.max_disagreement_percent, 0.001, 50.0)


def _between(name: str, value: float, low: float, high: float) -> None:
    try:
        sound = low <= value <= high and math.isfinite(value)
    except OverflowError:  # a whole number that no float can be
        sound = False
    if not sound:
        wanted = f"{low:g} or more" if math.isinf(high) else f"{low:g} to {high:g}"
        raise InvalidRequest(f"{name} is {value}, expected {wanted}")
