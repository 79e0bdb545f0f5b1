"""The step gate: the conditions that the present step does not meet yet. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .evidence import TOLERATED, agreement, labels_count, tried
from .interval import upper_rate
from .rescue_evidence import one_unit
from .rollout_spec import Kind
from .segment_evidence import describe_segment, suspect

if TYPE_CHECKING:
    from .counts import ArmCounts
    from .rollout import Rollout
    from .worst_units import UnitCounts

#: A cause as a short code, and the same for people.
UnmetCondition = tuple[str, str]

_PERCENT: Final = 100.0


def unmet_condition(rollout: Rollout) -> UnmetCondition | None:
    """Why the present step is not passed yet; ``None`` if it is.

    Time alone passes nothing, and neither do requests alone.
    """
    if rollout.kind is Kind.AB:
        return "comparison", "compares until a person finishes it; the result may be read any time"
    if rollout.steps[-1].settled is None:
        return "steering", "not every process has taken up the share yet"
    return _requests(rollout) or _time(rollout) or _quality(rollout)


def _requests(rollout: Rollout) -> UnmetCondition | None:
    exposure, wanted = rollout.steps[-1].exposure, rollout.terms.min_requests
    shadow = rollout.kind is Kind.SHADOW
    seen = exposure.pairs.pairs if shadow else exposure.canary.requests
    if seen >= wanted:
        return None
    if not seen:
        return "no_traffic", "no request has reached the candidate in this step; no data, no move"
    return "requests", f"the candidate has had {seen} of {wanted} requests in this step"


def _time(rollout: Rollout) -> UnmetCondition | None:
    seen, wanted = rollout.steps[-1].observed_seconds, rollout.terms.hold_seconds
    if seen >= wanted:
        return None
    return "hold_seconds", f"observed for {seen:.0f} of {wanted:g} seconds in this step"


def _quality(rollout: Rollout) -> UnmetCondition | None:
    if rollout.kind is Kind.SHADOW:
        return _agreement(rollout)
    exposure = rollout.steps[-1].exposure
    bound = _upper(exposure.canary)
    limit = max(rollout.terms.max_bad_percent / _PERCENT, TOLERATED * _rate(exposure.stable))
    if bound <= limit:
        return _units(rollout)
    return "bad_rate", (
        f"{bad_requests(exposure.canary)} of {exposure.canary.requests} requests of the candidate "
        f"were bad, so up to {bound:.2%} may be; passes at {limit:.2%}"
    )


def _agreement(rollout: Rollout) -> UnmetCondition | None:
    value, wanted = agreement(rollout), 1.0 / rollout.terms.alpha
    if value >= wanted:
        return None
    pairs = rollout.steps[-1].counts.pairs
    return "agreement", (
        f"{pairs.disagreements} of {pairs.pairs} requests disagree: evidence for agreement is "
        f"{value:.3g} of {wanted:g}"
    )


def _units(rollout: Rollout) -> UnmetCondition | None:
    """A unit that may be failing is looked at longer."""
    if any(_suspect(rollout, one) for one in rollout.units.canary):
        return (
            "units",
            f"it is not certain yet whether the candidate fails: {describe_units(rollout)}",
        )
    return _segments(rollout)


def _segments(rollout: Rollout) -> UnmetCondition | None:
    """A segment in which the candidate may do harm is looked at longer."""
    one = suspect(rollout, labels=labels_count(rollout)) if rollout.terms.segments else None
    if one is None:
        return None
    return "segments", f"it is not certain yet: {describe_segment(rollout, one)}"


def _suspect(rollout: Rollout, unit: UnitCounts) -> bool:
    return one_unit(unit, rollout.units, TOLERATED) >= 1.0 / rollout.terms.alpha


def describe_units(rollout: Rollout) -> str:
    """The unit with the most evidence in words, or all requests if there is none."""
    units = rollout.units
    if not units.canary:
        answered, rescued, both_failed = tried(rollout)
        return (
            f"stable answered {rescued} and failed at {both_failed} of the requests that the "
            f"candidate failed at; the candidate answered {answered}"
        )
    worst = max(units.canary, key=lambda one: one_unit(one, units, TOLERATED))
    failed = worst.rescued + worst.both_failed + worst.untried
    return (
        f"unit {worst.key:016x} had {failed} failures in its last {failed + worst.answered} "
        f"requests to the candidate; stable answered {worst.rescued} of them and failed at "
        f"{worst.both_failed}"
    )


def bad_requests(arm: ArmCounts) -> int:
    """Bad requests of any kind, without those that stable failed at, too.

    One that is bad in two ways counts twice, up to all of them.
    """
    bad = arm.errors + arm.timeouts + arm.invalid + arm.slow - arm.both_failed
    return max(0, min(arm.requests, bad))


def _rate(arm: ArmCounts) -> float:
    return bad_requests(arm) / arm.requests if arm.requests else 0.0


def _upper(arm: ArmCounts) -> float:
    return upper_rate(bad_requests(arm), arm.requests)
