from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.server.rollout.interval import Interval, upper_rate
from penstock.server.rollout.rate_interval import rate_interval


@st.composite
def hits_and_trials(draw):
    trials = draw(st.integers(1, 100_000))
    return draw(st.integers(0, trials)), trials


def test_without_hits_the_bound_is_three_in_the_number_of_trials():
    assert upper_rate(0, 300) == pytest.approx(1 - 0.05 ** (1 / 300))
    assert upper_rate(0, 300) == pytest.approx(3 / 300, rel=0.01)


@pytest.mark.parametrize(("hits", "trials"), [(1, 10), (12, 300), (200, 100_000), (150, 300)])
def test_the_bound_is_where_so_few_hits_are_just_as_likely_as_it_may_fail(hits, trials):
    p = upper_rate(hits, trials)
    logs = (
        math.lgamma(trials + 1) - math.lgamma(x + 1) - math.lgamma(trials - x + 1)
        + x * math.log(p) + (trials - x) * math.log1p(-p)
        for x in range(hits + 1)
    )  # fmt: skip
    assert math.fsum(math.exp(one) for one in logs) == pytest.approx(0.05, rel=1e-6)


def test_where_nearly_everything_hits_the_bound_stands_above_the_rate():
    for trials in (10, 201, 5000):
        assert upper_rate(trials - 1, trials) > 1 - 1 / trials


def test_many_hits_have_a_bound_that_is_hardly_larger():
    assert upper_rate(200, 20_000) < upper_rate(201, 20_000) < 0.0125
    assert upper_rate(201, 20_000) == pytest.approx(upper_rate(200, 20_000), rel=0.07)


def test_without_trials_nothing_is_known():
    assert upper_rate(0, 0) == 1.0
    assert rate_interval(0, 0) == Interval(0.0, 1.0)


@pytest.mark.parametrize("p", [0.002, 0.05, 0.5, 0.97])
@pytest.mark.parametrize("trials", [10, 300])
def test_the_bound_holds_as_often_as_it_says(p, trials):
    """By the exact probabilities of all outcomes."""
    missed = math.fsum(
        math.comb(trials, x) * p**x * (1 - p) ** (trials - x)
        for x in range(trials + 1)
        if upper_rate(x, trials) < p
    )
    assert missed <= 0.05


@given(hits_and_trials())
def test_rate_and_bounds_are_in_order(drawn):
    hits, trials = drawn
    interval = rate_interval(hits, trials)
    assert 0.0 <= interval.low <= hits / trials <= interval.high <= 1.0
    assert hits / trials <= upper_rate(hits, trials) <= 1.0
    assert interval.holds(hits / trials)


@given(hits_and_trials())
def test_the_other_side_of_a_coin_has_the_mirrored_interval(drawn):
    hits, trials = drawn
    one, other = rate_interval(hits, trials), rate_interval(trials - hits, trials)
    assert one.low == pytest.approx(1 - other.high, abs=1e-9)


@pytest.mark.parametrize("p", [0.01, 0.3])
def test_an_interval_that_is_watched_all_the_time_is_seldom_ever_wrong(p):
    random = np.random.default_rng(4)
    wrong = 0
    for _ in range(200):
        hits = np.cumsum(random.random(1000) < p)
        wrong += any(not rate_interval(int(hits[n - 1]), n).holds(p) for n in range(20, 1001, 20))
    assert wrong / 200 <= 0.05


def test_more_trials_tell_more():
    widths = [
        (one := rate_interval(n // 20, n)).high - one.low for n in (100, 1000, 10_000, 100_000)
    ]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.006
