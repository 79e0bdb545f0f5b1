"""The choice of the arm: sticky, monotone in the share, and as large as the share says."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.server.rollout.routing import (
    DEADLINE_SHARE,
    LEAST_TIMEOUT_SECONDS,
    TIMEOUT_FACTOR,
    TIMEOUT_SECONDS,
    Chooser,
    given_up_at,
)
from penstock.server.rollout.traffic import Split

#: Half the width of an interval that a normal variable leaves with a probability of 0.1 %.
Z_999 = 3.2905
COUNT = 20_000

units = st.binary(min_size=1, max_size=200)
shares = st.floats(0.0, 100.0)


def chooser(percent: float, rollout: str = "m-7") -> Chooser:
    return Chooser(Split(rollout, 2, percent))


@given(units, shares, shares)
def test_a_growing_share_never_moves_a_unit_back_to_stable(unit, one, other):
    small, large = sorted((one, other))
    assert chooser(small).is_canary(unit) <= chooser(large).is_canary(unit)


@given(units, shares)
def test_the_same_unit_always_has_the_same_arm(unit, percent):
    assert len({chooser(percent).is_canary(unit) for _ in range(3)}) == 1


@given(units, st.text(max_size=300))
def test_nobody_and_everybody(unit, rollout):
    assert not chooser(0.0, rollout).is_canary(unit)
    assert chooser(100.0, rollout).is_canary(unit)


@pytest.mark.parametrize("percent", [1.0, 5.0, 25.0, 50.0])
@pytest.mark.parametrize(
    "ids",
    [
        lambda start, i: b"%x" % (start + i),
        lambda start, i: b"user-%d" % i,
        lambda start, i: b"%032d" % (start + 64 * i),
    ],
    ids=["made-up ids", "numbered users", "strides"],
)
def test_the_observed_share_is_within_the_bounds_of_a_fair_choice(percent, ids):
    start = int.from_bytes(b"penstock", "big") << 32
    choose = chooser(percent).is_canary
    observed = sum(choose(ids(start, i)) for i in range(COUNT))
    share = percent / 100
    assert abs(observed - COUNT * share) < Z_999 * math.sqrt(COUNT * share * (1 - share))


def test_rollouts_choose_independently_of_each_other():
    first, second = chooser(50.0, "m-7"), chooser(50.0, "m-8")
    ids = [b"user-%d" % i for i in range(COUNT)]
    both = sum(first.is_canary(one) and second.is_canary(one) for one in ids)
    assert abs(both - COUNT / 4) < Z_999 * math.sqrt(COUNT * 3 / 16)


def test_neighbours_in_time_are_independent():
    """A hash that runs along with the ids would give the canary whole stretches of time."""
    choose = chooser(50.0).is_canary
    arms = [choose(b"%x" % i) for i in range(COUNT)]
    changes = sum(one != other for one, other in pairwise(arms))
    assert abs(changes - COUNT / 2) < Z_999 * math.sqrt(COUNT / 4)


def test_patience_follows_what_is_slow_and_leaves_stable_some_of_the_deadline():
    def given_up_after(slow: float, timeout: float = math.inf) -> float:
        return given_up_at(Split("r", 2, 5.0, slow_seconds=slow), 100.0, 100.0 + timeout) - 100.0

    assert given_up_after(0.0) == TIMEOUT_SECONDS
    assert given_up_after(0.5) == pytest.approx(TIMEOUT_FACTOR * 0.5)
    assert given_up_after(1e-4) == LEAST_TIMEOUT_SECONDS
    assert given_up_after(0.5, timeout=0.1) == pytest.approx(DEADLINE_SHARE * 0.1)
