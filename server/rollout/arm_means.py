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


@dataclass(frozen=True, slots=True)
class Moments:
    """A measured figure in one arm.

    Attributes:
        count: Measurements.
        total: Their sum.
        squares: The sum of their squares.
    """

    count: int
    total: float
    squares: float

    @property
    def mean(self) -> float:
        """The mean; 0 without measurements."""
        return self.total / self.count if self.count else 0.0

    @property
    def variance(self) -> float:
        """The variance of one measurement."""
        if not self.count:
            return 0.0
        return max(0.0, self.squares / self.count - self.mean**2)


@dataclass(frozen=True, slots=True)
class MeanComparison:
    """A mean in both arms. Valid for large numbers only; no decision depends on it.

    Attributes:
        difference: Canary less stable so far.
        interval: Interval of the difference.
        p_value: Always-valid p value of "there is no difference".
    """

    difference: float
    interval: Interval
    p_value: float


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


def compare_means(
    stable: Moments, canary: Moments, expected: float, miss: float = 0.05
) -> MeanComparison:
    """Compare a figure without bounds, such as latency, by the mixture SPRT.

    With V the variance of the difference d and tau the size of differences that are looked for,
    ``L = sqrt(V / (V + tau^2)) * exp(tau^2 d^2 / (2 V (V + tau^2)))``; R. Johari, L. Pekelis and
    D. Walsh, arXiv 1512.04922. V is estimated, so it holds for large numbers: compare I.
    Waudby-Smith and others, arXiv 2103.06476.

    Args:
        stable: Measurements of stable.
        canary: Measurements of the candidate.
        expected: tau, in the figure's unit, fixed before.
        miss: Probability, at most, that the interval is ever wrong.
    """
    difference = canary.mean - stable.mean
    everything = Interval(-math.inf, math.inf)
    if not stable.count or not canary.count:
        return MeanComparison(difference, everything, 1.0)
    variance = stable.variance / stable.count + canary.variance / canary.count
    if variance <= 0.0:
        return MeanComparison(difference, everything, 1.0)
    spread = variance + expected**2
    shrink = 0.5 * math.log(variance / spread)
    power = expected**2 * difference**2 / (2.0 * variance * spread)
    half = math.sqrt(2.0 * variance * spread / expected**2 * (math.log(1.0 / miss) - shrink))
    p_value = math.exp(min(0.0, -(shrink + power)))
    return MeanComparison(difference, Interval(difference - half, difference + half), p_value)


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
