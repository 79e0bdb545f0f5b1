from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.loadtests.schedule import draw, gamma, on_off, poisson


def gaps(times):
    return np.diff(times)


def coefficient_of_variation(values):
    return values.std() / values.mean()


@pytest.mark.parametrize("arrivals", ["poisson", "gamma:3", "gamma:0.2", "on-off", "on-off:8"])
def test_mean_rate_is_the_one_asked_for(arrivals):
    times = draw(arrivals, rate=2000, seconds=60, seed=1)
    assert times.size / 60 == pytest.approx(2000, rel=0.05)


def test_poisson_gaps_vary_as_an_exponential():
    times = poisson(5000, 20, np.random.default_rng(2))
    assert coefficient_of_variation(gaps(times)) == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("cv", [0.3, 3.0, 5.0])
def test_gamma_gaps_have_the_coefficient_asked_for(cv):
    times = gamma(5000, 60, np.random.default_rng(3), cv=cv)
    assert coefficient_of_variation(gaps(times)) == pytest.approx(cv, rel=0.06)


def test_on_off_is_five_times_faster_while_on():
    times = on_off(2000, 100, np.random.default_rng(4))
    phase = times % 2.0
    on, off = np.count_nonzero(phase < 0.2) / 0.2, np.count_nonzero(phase >= 0.2) / 1.8
    assert on / off == pytest.approx(5.0, rel=0.06)


@given(
    arrivals=st.sampled_from(["poisson", "gamma:4", "gamma:0.5", "on-off", "on-off:2"]),
    rate=st.floats(0.5, 500),
    seconds=st.floats(0.1, 20),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None)
def test_times_ascend_within_the_window_and_repeat_with_the_seed(arrivals, rate, seconds, seed):
    times = draw(arrivals, rate, seconds, seed)
    assert np.all(gaps(times) >= 0)
    assert np.all((times >= 0) & (times < seconds))
    assert np.array_equal(times, draw(arrivals, rate, seconds, seed))


def test_another_seed_draws_another_schedule():
    assert not np.array_equal(draw("poisson", 100, 5, 1)[:10], draw("poisson", 100, 5, 2)[:10])


@pytest.mark.parametrize("arrivals", ["", "uniform", "gamma", "poisson:2", "gamma:0", "gamma:x"])
def test_an_unknown_schedule_is_refused(arrivals):
    with pytest.raises(ValueError, match=r"expected|positive|convert"):
        draw(arrivals, 10, 1, 0)


@pytest.mark.parametrize(("rate", "seconds"), [(0, 1), (1, 0), (-1, 1)])
def test_rate_and_length_must_be_positive(rate, seconds):
    with pytest.raises(ValueError, match="positive"):
        draw("poisson", rate, seconds, 0)
