"""What the intervals of an A/B comparison promise, under traffic that is read again and again.

``pytest tests/simulation/test_ab.py -s`` prints the measured rates with 95 % intervals.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import betaln

from penstock.server.rollout.arm_rates import results
from penstock.server.rollout.counts import ArmCounts, Counts
from penstock.server.rollout.difference_interval import (
    Cells,
    bets_on_difference,
    difference_interval,
)
from penstock.server.rollout.interval import upper_rate
from penstock.server.rollout.phase import Phase
from penstock.server.rollout.rate_interval import rate_interval
from penstock.server.rollout.rollout import Step, begin
from penstock.server.rollout.rollout_spec import Kind, RolloutSpec
from penstock.server.rollout.routing import Chooser
from penstock.server.rollout.sample_size import Design, size_of_rates
from penstock.server.rollout.traffic import Split

MISS = 0.05
RUNS = 200
LOOKS = 30


def said(what, hits, total):
    low, high = 1.0 - upper_rate(total - hits, total, 0.025), upper_rate(hits, total, 0.025)
    print(f"\n{what}: {hits} of {total} = {hits / total:.1%} ({low:.1%} to {high:.1%})", end="")  # noqa: T201


def cells(random, stable, canary, share, requests):
    """Cumulative counts at each look, by run: stable hits, its misses, canary hits, its misses.

    The rates are numbers, or arrays of one rate for each run and look.
    """
    each = np.full((RUNS, LOOKS), requests // LOOKS)
    ours = random.binomial(each, share)
    hits = random.binomial(ours, canary)
    theirs = random.binomial(each - ours, stable)
    parts = np.stack([theirs, each - ours - theirs, hits, ours - hits], axis=-1)
    return parts.cumsum(axis=1)


def excluded(counts, share, difference):
    """Whether the interval has excluded this difference at any look of each run."""
    limit = math.log(2.0 / MISS)
    found = []
    for run in counts:
        for look in run:
            above = bets_on_difference(share).log_evidence(look, difference)[0]
            below = bets_on_difference(1.0 - share).log_evidence(
                [look[2], look[3], look[0], look[1]], -difference
            )[0]
            if max(above, below) >= limit:
                found.append(True)
                break
        else:
            found.append(False)
    return np.array(found)


def wave(random, low, high):
    """A rate that goes up and down, beginning anywhere."""
    phase = random.uniform(0.0, 2.0 * np.pi, (RUNS, 1)) + np.linspace(0.0, 20.0, LOOKS)
    return low + (high - low) * (1.0 + np.sin(phase)) / 2.0


def wander(random, memory=0.97):
    """A rate around 5 % whose logarithm is an AR(1) process."""
    steps = np.zeros((RUNS, LOOKS))
    level = random.normal(0.0, 1.0, RUNS)
    for look in range(LOOKS):
        level = memory * level + math.sqrt(1.0 - memory**2) * random.normal(0.0, 1.0, RUNS)
        steps[:, look] = level
    return np.clip(0.05 * np.exp(steps), 0.0, 0.9)


@pytest.mark.parametrize(
    ("what", "stable", "canary", "share", "truth"),
    [
        ("rare, alike", 0.0005, 0.0005, 0.5, 0.0),
        ("rare, 1 and 3 in 1,000", 0.001, 0.003, 0.1, 0.002),
        ("30 and 35 %", 0.3, 0.35, 0.2, 0.05),
        ("nearly always", 0.97, 0.97, 0.5, 0.0),
        ("cycles, 1 to 30 %, and 2 % more", lambda r: wave(r, 0.01, 0.3), 0.02, 0.5, 0.02),
        ("autocorrelated", wander, 0.0, 0.3, 0.0),
    ],
)
def test_no_look_ever_excludes_the_true_difference(what, stable, canary, share, truth):
    random = np.random.default_rng(1)
    if callable(stable):
        stable = stable(random)
        canary = stable + canary
    wrong = excluded(cells(random, stable, canary, share, 60_000), share, truth)
    said(f"{what}: ever wrong", wrong.sum(), RUNS)
    assert wrong.mean() <= MISS


@pytest.mark.parametrize(
    ("stable", "canary", "share"),
    [(0.001, 0.003, 0.5), (0.05, 0.07, 0.1), (0.3, 0.33, 0.5), (0.9, 0.92, 0.5)],
)
def test_it_takes_at_most_three_times_as_many_requests_as_one_look_at_the_end(
    stable, canary, share
):
    random = np.random.default_rng(2)
    design = Design(canary - stable, share)
    sizes = size_of_rates(stable, design)
    assert sizes.anytime <= 3 * sizes.fixed
    counts = cells(random, stable, canary, share, 3 * sizes.fixed)
    told = excluded(counts, share, 0.0)
    said(f"{stable:g} and {canary:g}: told within 3 times the fixed sample", told.sum(), RUNS)
    assert told.mean() >= design.power
    planned = excluded(cells(random, stable, canary, share, sizes.anytime), share, 0.0)
    said("told within the calculated sample", planned.sum(), RUNS)
    assert design.power - 0.1 <= planned.mean() <= design.power + 0.15
    # An interval for each arm, as it was done before, needs about twice as many.
    boxes = [
        (of_one_arm(a, b, MISS / 2), of_one_arm(c, d, MISS / 2)) for a, b, c, d in counts[:100, -1]
    ]
    assert np.mean([a[1] < b[0] for a, b in boxes]) <= 0.5


def of_one_arm(hits, misses, miss):
    """Ends of the interval of a Beta mixture: H. Robbins 1970."""
    rates = np.geomspace(1e-6, 1.0 - 1e-6, 20_000)
    mixture = betaln(hits + 0.5, misses + 0.5) - betaln(0.5, 0.5)
    likely = hits * np.log(rates) + misses * np.log1p(-rates) > mixture + math.log(miss)
    return rates[likely][[0, -1]]


@pytest.mark.parametrize(("ratio", "share"), [(2.0, 0.5), (1.3, 0.5), (2.0, 0.1), (0.6, 0.2)])
def test_the_ratio_takes_at_most_three_times_as_many_events_as_one_look_at_the_end(ratio, share):
    """One look at the end is the binomial test of the arms that the events fell in."""
    random = np.random.default_rng(6)
    canary = share * ratio / (1.0 - share + share * ratio)
    alike, apart = math.sqrt(share * (1.0 - share)), math.sqrt(canary * (1.0 - canary))
    fixed = ((1.96 * alike + 0.8416 * apart) / (canary - share)) ** 2
    events = random.binomial(1, canary, (RUNS, math.ceil(3 * fixed))).sum(axis=1)
    found = [rate_interval(int(one), math.ceil(3 * fixed), MISS) for one in events]
    told = np.array([not one.holds(share) for one in found])
    said(f"ratio {ratio:g} at {share:.0%}: told within 3 times the fixed sample", told.sum(), RUNS)
    assert told.mean() >= 0.8


def test_the_bounds_are_where_the_evidence_is_enough():
    random = np.random.default_rng(3)
    for look in cells(random, 0.05, 0.07, 0.3, 6_000)[:20, -1]:
        found = difference_interval(Cells(*look.tolist()), 0.3, MISS)
        one = look[None, None]
        width = found.high - found.low
        assert not excluded(one, 0.3, found.low + 1e-6 * width).any()
        assert excluded(one, 0.3, found.low - 1e-6 * width).all()
        assert not excluded(one, 0.3, found.high - 1e-6 * width).any()
        assert excluded(one, 0.3, found.high + 1e-6 * width).all()


def comparison(stable, canary, share, sticky=""):
    made = begin(
        "m-1",
        Kind.AB,
        "m",
        (1, 2),
        "",
        RolloutSpec(steps=(100.0 * share,), sticky=sticky),
        "ann",
        0.0,
    )
    step = Step(100.0 * share, Counts(stable, canary), Counts())
    return results(replace(made, phase=Phase.PROGRESSING, steps=(step,)))


def test_tenants_whose_requests_are_drawn_one_by_one_are_no_matter():
    """Fifty tenants from 0 to 60 %, the largest with a fifth of the traffic: arms by request id."""
    random = np.random.default_rng(4)
    sizes = random.pareto(1.0, 50) + 0.05
    rate = float(random.uniform(0.0, 0.6, 50) @ (sizes / sizes.sum()))
    wrong = excluded(cells(random, rate, rate, 0.5, 30_000), 0.5, 0.0)
    said("tenants, arms by request: ever wrong", wrong.sum(), RUNS)
    assert wrong.mean() <= MISS


@pytest.mark.parametrize("harm", [1.0, 3.0])
def test_tenants_whose_arms_are_sticky_have_a_ratio_by_their_first_failures_and_no_difference(harm):
    """The ratio is of the probability that a unit has met a failure by now."""
    random = np.random.default_rng(5)
    units, wrong, stated = 400, 0, 0
    each = np.random.default_rng(6).beta(0.2, 4.0, 200_000)
    met = [-np.expm1(-20.0 * np.minimum(1.0, times * each)).mean() for times in (1.0, harm)]
    for run in range(RUNS):
        chooser = Chooser(Split(f"r-{run}", 2, 50.0, sticky="x-user"))
        arm = np.array([chooser.is_canary(b"%d" % unit) for unit in range(units)])
        fails = random.beta(0.2, 4.0, units)  # some nearly always, most never
        requests = random.poisson(20, units)
        errors = random.binomial(requests, np.minimum(1.0, fails * np.where(arm, harm, 1.0)))
        ever = False
        for part in (100, 200, 300, 400):  # as units come
            arms = [
                ArmCounts(
                    requests=int(requests[:part][arm[:part] == canary].sum()),
                    errors=int(errors[:part][arm[:part] == canary].sum()),
                    repeated_failures=int(
                        np.maximum(0, errors[:part][arm[:part] == canary] - 1).sum()
                    ),
                )
                for canary in (False, True)
            ]
            shown = comparison(*arms, 0.5, sticky="x-user")["errors"]
            assert shown.difference is None
            assert "x-user" in shown.held
            assert "the ratio is of units" in shown.held
            ever |= not shown.ratio.holds(met[1] / met[0])
            stated += math.isfinite(shown.ratio.high)
        wrong += ever
    said(f"tenants, sticky arms, {harm:g} times the risk: ratio ever wrong", wrong, RUNS)
    assert wrong / RUNS <= MISS
    assert stated > RUNS


def test_a_client_with_one_constant_id_is_noticed_and_no_difference_is_stated():
    arms = ArmCounts(requests=9_000, errors=90), ArmCounts(requests=11_000, errors=110)
    shown = comparison(*arms, 0.5)["errors"]
    assert shown.difference is None
    assert "do not fit a share of 50 %" in shown.held
    even = ArmCounts(requests=10_050, errors=90), ArmCounts(requests=9_950, errors=110)
    assert comparison(*even, 0.5)["errors"].difference is not None
