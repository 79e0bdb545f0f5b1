"""The label alarm on streams that are not ideal: at most one false alarm in twenty months.

`PENSTOCK_LABEL_RUNS` runs each case more often than the suite does.
"""

from __future__ import annotations

import os

import numpy as np
import pytest
from test_rollouts import quantiles, said

from penstock.monitoring.feedback import LabelEvents, change
from penstock.monitoring.feedback.options import FeedbackOptions

RUNS = int(os.environ.get("PENSTOCK_LABEL_RUNS", "20"))
DAY = 86_400.0
MONDAY = 1_700_000_000.0 // (7 * DAY) * (7 * DAY)
#: A week to learn, and a month.
DAYS = 37
PER_DAY = 100
#: The change takes place after two weeks.
CHANGED = MONDAY + 14 * DAY
LEARNT = FeedbackOptions()


def flat(times):
    return np.full(len(times), 0.1)


def weekend(times):
    """Twice as many errors on two days of the week."""
    return np.where((times - MONDAY) // DAY % 7 >= 5, 0.2, 0.1)


def daily(times):
    return 0.1 + 0.08 * np.sin(2 * np.pi * times / DAY)


def doubled(rate):
    return lambda times: np.where(times < CHANGED, rate(times), 2 * rate(times))


def at_once(rng, times, bad):
    return np.full(len(times), 60.0)


def bad_late(rng, times, bad):
    """As of fraud: a wrong prediction is known after days, a right one within the hour."""
    return rng.exponential(np.where(bad > 0, 5 * DAY, 3600.0))


def bad_early(rng, times, bad):
    """As of complaints."""
    return rng.exponential(np.where(bad > 0, 3600.0, 5 * DAY))


def weekly_file(rng, times, bad):
    """Once a week, all right ones before all wrong ones."""
    return np.ceil((times - MONDAY) / (7 * DAY)) * 7 * DAY + MONDAY + 5 * bad - times


def stream(rng, rate=flat, delay=at_once):
    times = MONDAY + np.sort(rng.random(PER_DAY * DAYS)) * DAYS * DAY
    bad = (rng.random(len(times)) < rate(times)).astype(float)
    return LabelEvents(times, times + delay(rng, times, bad), bad)


def of_users(rng):
    """Ten labels a user within an hour, nearly all right or nearly all wrong."""
    bursts = PER_DAY * DAYS // 10
    own = rng.beta(0.1, 0.9, 400)
    who = rng.integers(0, len(own), bursts)
    starts = MONDAY + rng.random(bursts) * DAYS * DAY
    times = (starts[:, None] + 3600 * rng.random((bursts, 10))).ravel()
    users = np.repeat(who, 10)
    bad = (rng.random(len(times)) < own[users]).astype(float)
    return LabelEvents(times, times + 60, bad, [f"user {one}" for one in users.tolist()])


def alarms(make, options=LEARNT, runs=RUNS):
    """Of each run, its events and the alarms that began."""
    found = []
    for seed in range(runs):
        events = make(np.random.default_rng(seed))
        found.append((events, [one for one in change(events, options) if one.what == "opened"]))
    return found


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (stream, LEARNT),
        (stream, FeedbackOptions(expected_accuracy=0.9)),
        (lambda rng: stream(rng, weekend), LEARNT),
        (lambda rng: stream(rng, daily), LEARNT),
        (lambda rng: stream(rng, delay=bad_late), LEARNT),
        (lambda rng: stream(rng, delay=bad_early), LEARNT),
        (lambda rng: stream(rng, delay=weekly_file), LEARNT),
        (of_users, LEARNT),
    ],
    ids=["even", "declared", "weekends", "days", "bad late", "bad early", "sorted file", "users"],
)
def test_a_month_without_a_change_has_an_alarm_in_one_of_twenty_at_most(make, options):
    false = sum(bool(opened) for _, opened in alarms(make, options))
    said(f"{make.__name__}, months with a false alarm", false, RUNS)
    assert false <= 0.05 * RUNS + 3 * np.sqrt(0.0475 * RUNS)


@pytest.mark.parametrize(
    ("rate", "delay", "most", "runs"),
    [(flat, at_once, 200, 3 * RUNS), (weekend, at_once, 800, RUNS), (flat, bad_late, 3000, RUNS)],
    ids=["even", "weekends", "bad late"],
)
def test_twice_as_many_errors_are_found(rate, delay, most, runs):
    """After this many labelled predictions at the median, those that still wait included."""
    seen = []
    for events, opened in alarms(lambda rng: stream(rng, doubled(rate), delay), runs=runs):
        after = [one.time for one in opened if one.time >= CHANGED]
        made = events.predicted_at
        seen.append(((made >= CHANGED) & (made <= after[0])).sum() if after else np.inf)
    quantiles("labels until the alarm", seen)
    assert np.isfinite(seen).mean() >= 0.9
    assert np.median(seen) <= most


def test_events_that_are_none_are_refused():
    ones = np.ones(3)
    with pytest.raises(ValueError, match="entries"):
        change(LabelEvents(ones, ones, ones[:2]), LEARNT)
    with pytest.raises(ValueError, match="NaN"):
        change(LabelEvents(ones, ones, ones * np.nan), LEARNT)
    assert change(LabelEvents(ones[:0], ones[:0], ones[:0]), LEARNT) == []
