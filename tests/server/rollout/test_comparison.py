from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from strategies import started

from penstock.server.rollout.arm_rates import compare_rates, results
from penstock.server.rollout.counts import ArmCounts, Counts
from penstock.server.rollout.rollout import Step
from penstock.server.rollout.rollout_spec import Kind


def test_intervals_that_are_watched_all_the_time_are_seldom_ever_wrong():
    """A share of 30 %, rates of 4 and 6 %, looked at 20 times."""
    random = np.random.default_rng(5)
    wrong_difference = wrong_ratio = 0
    for _ in range(200):
        arm = random.random(4000) < 0.3
        event = random.random(4000) < np.where(arm, 0.06, 0.04)
        differs = ratios = False
        for n in range(200, 4001, 200):
            a, e = arm[:n], event[:n]
            shown = compare_rates(
                (int((e & ~a).sum()), int((~a).sum())), (int((e & a).sum()), int(a.sum())), 0.3
            )
            differs |= not shown.difference.holds(0.02)
            ratios |= not shown.ratio.holds(1.5)
        wrong_difference += differs
        wrong_ratio += ratios
    assert wrong_difference / 200 <= 0.05
    assert wrong_ratio / 200 <= 0.05


def test_a_difference_is_found():
    shown = compare_rates((400, 10_000), (600, 10_000), 0.5)
    assert (shown.stable, shown.canary) == (0.04, 0.06)
    assert shown.difference.low > 0
    assert shown.ratio.low > 1.0


def test_the_ratio_does_not_mind_an_outage_that_both_share():
    calm = compare_rates((50, 9_000), (5, 1_000), 0.1)
    outage = compare_rates((4_050, 9_900), (455, 1_100), 0.1)
    assert calm.ratio.holds(1.0)
    assert outage.ratio.holds(1.0)


def test_without_data_everything_is_possible():
    shown = compare_rates((0, 0), (0, 0), 0.5)
    assert (shown.difference.low, shown.difference.high) == (-1.0, 1.0)
    assert (shown.ratio.low, shown.ratio.high) == (0.0, math.inf)


def test_the_result_of_a_rollout_rests_on_what_was_counted_with_the_share_in_force():
    before = Counts(ArmCounts(requests=50, errors=50), ArmCounts(requests=50))
    later = Counts(
        ArmCounts(requests=100, errors=2, labelled=20, wrong=5),
        ArmCounts(requests=100, errors=4, labelled=10, wrong=1),
    )
    step = Step(50.0, before.plus(later), before)
    shown = results(replace(started(Kind.AB), steps=(step,)))
    assert (shown["errors"].stable, shown["errors"].canary) == (0.02, 0.04)
    assert (shown["wrong"].stable, shown["wrong"].canary) == (0.25, 0.1)
    assert set(shown) == {"errors", "timeouts", "invalid", "slow", "wrong"}
    assert results(started(Kind.AB)) == {}
