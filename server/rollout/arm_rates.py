"""The figures of an A/B comparison, valid at any moment however often they are read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .interval import Interval, rate_interval

if TYPE_CHECKING:
    from .rollout import Rollout


@dataclass(frozen=True, slots=True)
class RateComparison:
    """A rate in both arms. The intervals are valid however often they are read.

    Attributes:
        stable: Rate of stable so far; 0 without requests.
        canary: Rate of the candidate so far.
        difference: Interval of canary less stable. Assumes that each rate is the same over time.
        ratio: Interval of canary / stable, from the arm that each event fell in: outages and drift
            that both arms share do no harm.
    """

    stable: float
    canary: float
    difference: Interval
    ratio: Interval


def compare_rates(
    stable: tuple[int, int], canary: tuple[int, int], share: float, miss: float = 0.05
) -> RateComparison:
    """Compare the rates of an event in both arms.

    Each arm's interval gets half of `miss`, so both hold together at whatever moment.

    Args:
        stable: Events and requests of the stable version.
        canary: Events and requests of the canary.
        share: Share of the canary in requests, 0 to 1.
        miss: Probability, at most, that an interval is ever wrong; each kind for itself.
    """
    a, b = rate_interval(*stable, miss / 2), rate_interval(*canary, miss / 2)
    where = rate_interval(canary[0], canary[0] + stable[0], miss)
    return RateComparison(
        stable=stable[0] / stable[1] if stable[1] else 0.0,
        canary=canary[0] / canary[1] if canary[1] else 0.0,
        difference=Interval(b.low - a.high, b.high - a.low),
        ratio=Interval(_ratio(where.low, share), _ratio(where.high, share)),
    )


def results(rollout: Rollout, miss: float = 0.05) -> dict[str, RateComparison]:
    """Compare every kind of bad event, wrong labels included, while every worker had the share.

    Args:
        rollout: An A/B comparison or the present step of a canary.
        miss: As in `compare_rates`.
    """
    if not rollout.steps:
        return {}
    step = rollout.steps[-1]
    stable, canary = step.exposure.stable, step.exposure.canary
    share = step.percent / 100.0
    kinds = {
        kind: compare_rates(
            (getattr(stable, kind), stable.requests),
            (getattr(canary, kind), canary.requests),
            share,
            miss,
        )
        for kind in ("errors", "timeouts", "invalid", "slow")
    }
    labels = ((stable.wrong, stable.labelled), (canary.wrong, canary.labelled))
    return {**kinds, "wrong": compare_rates(*labels, share, miss)}


def _ratio(probability: float, share: float) -> float:
    """The ratio of risks at which an event is the canary's with this probability."""
    if probability >= 1.0 or not 0.0 < share < 1.0:
        return math.inf if probability >= 1.0 else 0.0
    return probability / (1.0 - probability) * (1.0 - share) / share
