"""The evidence on the arm of bad events, against sums over everything that can happen."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.server.rollout.arm_evidence import GRID, ArmEvents, arm_evidence, log_factors

TOLERATED = 1.5
small = st.integers(0, 200)
shares = st.floats(0.001, 0.999)


def canary_probability(share, ratio):
    """Probability that a bad event falls in the canary's arm."""
    return share * ratio / (1.0 - share + share * ratio)


def expectation(shares, counts, true_ratio, counted_with=None):
    """Of E after so many events in each step, over all ways in which they can fall."""
    steps = list(zip(shares, counted_with or shares, counts, strict=True))
    total = 0.0
    for falls in product(*(range(n + 1) for n in counts)):
        chance = 1.0
        for (share, _, n), x in zip(steps, falls, strict=True):
            p = canary_probability(share, true_ratio)
            chance *= math.comb(n, x) * p**x * (1 - p) ** (n - x)
        events = [
            ArmEvents(counted, x, n - x) for (_, counted, n), x in zip(steps, falls, strict=True)
        ]
        total += chance * arm_evidence(events, TOLERATED)
    return total


@pytest.mark.parametrize("counts", [(1, 0), (0, 1), (5, 3), (12, 9)])
@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0, 1.4])
def test_nobody_can_expect_evidence_against_a_candidate_that_is_tolerated(counts, ratio):
    assert expectation((0.05, 0.25), counts, ratio) < 1.0


@pytest.mark.parametrize("counts", [(1, 0), (5, 3), (12, 9)])
def test_at_the_tolerated_ratio_the_bet_is_fair(counts):
    assert expectation((0.05, 0.25), counts, TOLERATED) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("ratio", [1.0, TOLERATED])
def test_events_counted_with_a_larger_share_than_they_had_do_no_harm(ratio):
    """While workers take up a larger share, some have the old one: the bet is worse, never better.

    This is why no event has to be left out when the share changes.
    """
    assert expectation((0.05, 0.05), (6, 6), ratio, counted_with=(0.05, 0.25)) < 1.0
    assert expectation((0.0, 0.25), (6, 6), ratio, counted_with=(0.25, 0.25)) < 1.0


def test_events_counted_with_a_smaller_share_would_do_harm():
    """The same the other way round: shares may not shrink, or this test could not fail."""
    assert expectation((0.25, 0.25), (6, 6), 1.0, counted_with=(0.05, 0.25)) > 1.0


def test_a_worse_candidate_can_expect_evidence():
    assert expectation((0.05, 0.25), (12, 9), 5.0) > 10.0


def test_the_chance_of_ever_crossing_is_bounded():
    """Ville's inequality at the worst tolerated ratio, looked at after each event."""
    random = np.random.default_rng(1)
    runs, events = 2000, 400
    share = np.where(np.arange(events) < 100, 0.05, 0.25)
    probability = share * TOLERATED / (1 - share + share * TOLERATED)
    arm = random.random((runs, events)) < probability
    bets = np.ones((runs, events, len(GRID)))
    for j, times in enumerate(GRID):
        bet = share * TOLERATED * times / (1 - share + share * TOLERATED * times)
        steps = np.where(arm, np.log(bet / probability), np.log((1 - bet) / (1 - probability)))
        bets[:, :, j] = np.exp(np.minimum(600.0, np.cumsum(steps, axis=1)))
    wealth = bets.mean(axis=2)
    crossed = (wealth.max(axis=1) >= 20).mean()
    assert 0.005 < crossed <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)
    last = [ArmEvents(0.05, int(row[:100].sum()), int((~row[:100]).sum())) for row in arm[:50]]
    other = [ArmEvents(0.25, int(row[100:].sum()), int((~row[100:]).sum())) for row in arm[:50]]
    ours = [arm_evidence(pair, TOLERATED) for pair in zip(last, other, strict=True)]
    assert ours == pytest.approx(wealth[:50, -1], rel=1e-9)


@given(shares, small, small, small, small)
def test_two_steps_with_the_same_share_count_as_their_sum(share, a, b, c, d):
    apart = arm_evidence([ArmEvents(share, a, b), ArmEvents(share, c, d)], TOLERATED)
    together = arm_evidence([ArmEvents(share, a + c, b + d)], TOLERATED)
    assert apart == pytest.approx(together, rel=1e-9)


@given(shares, st.integers(0, 60), small)
def test_one_more_event_of_the_candidate_is_more_evidence_and_one_of_stable_is_less(share, x, y):
    now = arm_evidence([ArmEvents(share, x, y)], TOLERATED)
    assert arm_evidence([ArmEvents(share, x + 1, y)], TOLERATED) > now
    assert arm_evidence([ArmEvents(share, x, y + 1)], TOLERATED) < now


@given(st.lists(st.builds(ArmEvents, shares, small, small), max_size=4), st.randoms())
def test_the_order_of_steps_does_not_matter(steps, random):
    mixed = random.sample(steps, len(steps))
    assert arm_evidence(mixed, TOLERATED) == pytest.approx(arm_evidence(steps, TOLERATED))


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_where_one_arm_has_everything_there_is_nothing_to_tell(share):
    assert arm_evidence([ArmEvents(share, 50, 50)], TOLERATED) == 1.0


def test_no_events_are_no_evidence():
    assert arm_evidence([], TOLERATED) == 1.0
    assert arm_evidence([ArmEvents(0.05, 0, 0)], TOLERATED) == 1.0


def test_endless_evidence_stays_a_number():
    assert 1e300 < arm_evidence([ArmEvents(0.01, 10**9, 0)], TOLERATED) < math.inf
    assert arm_evidence([ArmEvents(0.5, 0, 10**9)], TOLERATED) == 0.0


@pytest.mark.parametrize(("share", "ratio"), [(0.05, 1.0), (0.3, 4.0), (0.9, 0.25)])
def test_the_law_of_the_arm_does_not_know_how_likely_events_are(share, ratio):
    """pi(r) by Bayes, with whatever risk."""
    for risk in (1e-6, 0.01, 0.2):
        canary, stable = share * ratio * risk, (1 - share) * risk
        assert canary / (canary + stable) == pytest.approx(canary_probability(share, ratio))


@pytest.mark.parametrize("share", [1e-300, 1e-16, 0.01, 0.5, 1.0 - 1e-13, 1.0 - 2**-53])
def test_any_share_between_none_and_all_has_an_answer(share):
    for (canary, stable), times in zip(log_factors(share, 1.5), GRID, strict=True):
        assert canary - stable == pytest.approx(math.log(times))
        assert stable <= 0.0
        assert canary >= -1e-12
    assert arm_evidence([ArmEvents(share, 3, 5)], 1.5) >= 0.0
