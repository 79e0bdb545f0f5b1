from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from penstock.server.rollout.forecast import POWER, forecast
from penstock.server.rollout.interval import most_hits, upper_rate
from penstock.server.rollout.ramp_simulation import StableTraffic, look_times, simulate
from penstock.server.rollout.rollout_spec import RolloutSpec

QUICK = RolloutSpec(
    steps=(5.0, 25.0, 100.0), hold_seconds=60.0, min_requests=50, max_bad_percent=5.0
)
BUSY = StableTraffic(100.0, 0.005, 0.001)


@pytest.fixture(scope="module")
def quick():
    return forecast(QUICK, BUSY)


def test_the_same_question_has_the_same_answer(quick):
    assert forecast(QUICK, BUSY) == quick


def test_with_much_traffic_the_time_of_the_steps_decides(quick):
    found = quick
    assert found.seconds == 120.0
    assert [one.decides for one in found.steps] == ["hold_seconds"] * 2
    assert [one.requests_per_second for one in found.steps] == [5.0, 25.0]
    assert (found.in_time, found.to_end) == (1.0, ())
    assert found.aborted <= 0.05


def test_with_little_traffic_the_requests_decide_and_changes_are_named_that_help():
    terms = replace(QUICK, min_requests=300, deadline_seconds=3600.0)
    found = forecast(terms, StableTraffic(1.0, 0.005, 0.001))
    assert found.steps[0].decides == "requests"
    assert found.seconds is None
    assert found.in_time == 0.0
    options = [one.option for one in found.to_end]
    assert "--steps 25,100" in options
    assert any(one.startswith("--min-requests") for one in options)
    shorter = replace(terms, steps=(25.0, 100.0))
    assert forecast(shorter, StableTraffic(1.0, 0.005, 0.001)).in_time >= 0.9


def test_without_traffic_it_sees_nothing_and_never_ends():
    found = forecast(QUICK, StableTraffic(0.0, 0.01))
    assert found.seconds is None
    assert found.harms["failed"].rate is None
    assert (found.to_end, found.to_see) == ((), ())


@pytest.mark.parametrize(
    "change",
    [{"deadline_seconds": 1e300}, {"watch_seconds": 1e300}, {"steps": (1e-300, 100.0)}],
)
def test_terms_without_measure_have_a_forecast_too(change):
    assert forecast(replace(QUICK, **change), BUSY).aborted <= 0.05


def test_the_smallest_harm_is_rolled_back_as_often_as_it_says_and_half_of_it_is_not(quick):
    found = quick
    harm = found.harms["failed"]
    assert 2 * harm.stable < harm.rate < 0.05
    assert simulate(QUICK, BUSY, harm.rate, 0.001).aborted.mean() >= POWER
    assert simulate(QUICK, BUSY, harm.rate / 2, 0.001).aborted.mean() < POWER
    assert harm.watched_rate < harm.rate  # it goes on for a day


@pytest.mark.parametrize("change", [{"hold_seconds": 600.0}, {"steps": (5.0, 25.0, 50.0, 100.0)}])
def test_a_longer_ramp_sees_less_harm(change, quick):
    longer = replace(QUICK, watch_seconds=0.0, **change)
    rate = quick.harms["failed"].rate
    assert simulate(longer, BUSY, 0.9 * rate, BUSY.slow).aborted.mean() >= POWER


def test_changes_that_see_twice_as_many_failures_do(quick):
    found = quick
    assert found.to_see
    for one in found.to_see:
        name, value = one.option.split()
        changed = (
            replace(QUICK, min_requests=int(value))
            if name == "--min-requests"
            else replace(QUICK, hold_seconds=60.0 * float(value.removesuffix("m")))
            if value.endswith("m")
            else replace(QUICK, hold_seconds=3600.0 * float(value.removesuffix("h")))
        )
        assert simulate(changed, BUSY, 2 * BUSY.failed, BUSY.slow).aborted.mean() >= POWER


def test_a_ramp_is_looked_at_until_it_may_be_passed_and_ever_more_seldom_afterwards():
    looks = look_times(300.0, 86_400.0)
    assert looks[7] == 300.0
    assert looks[-1] == pytest.approx(86_400.0)
    assert (np.diff(looks) > 0).all()
    assert look_times(1000.0, 300.0)[-1] == 300.0


@pytest.mark.parametrize(
    ("trials", "limit"),
    [(300, 0.01), (1, 0.5), (0, 0.1), (1000, 0.3), (40_000, 0.01), (10**6, 0.02), (50, 0.001)],
)
def test_the_most_hits_are_those_whose_bound_is_just_within_the_limit(trials, limit):
    hits = most_hits(trials, limit)
    assert hits == -1 or upper_rate(hits, trials) <= limit + 1e-9
    assert upper_rate(hits + 1, trials) > limit - 1e-9
