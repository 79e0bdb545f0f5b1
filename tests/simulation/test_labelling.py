"""The label alarm where labels tell of other predictions than before, or of few of them.

`PENSTOCK_LABEL_RUNS` runs each case more often than the suite does.
"""

from __future__ import annotations

import numpy as np
import pytest
from test_labels import CHANGED, DAY, DAYS, LEARNT, MONDAY, PER_DAY, RUNS, alarms, stream, weekend
from test_rollouts import quantiles, said

from penstock.monitoring.feedback import LabelEvents, change

FEW = max(12, RUNS // 2)


def hour_of(times):
    return times % DAY // 3600


def classifier(labelled, prevalence=0.2, missed=0.3, false=0.05, worse=1.0, kept=("made_at",)):
    """A model of two classes; `labelled` gives the probability that a prediction has a label."""

    def make(rng):
        made = MONDAY + np.sort(rng.random(2 * PER_DAY * DAYS)) * DAYS * DAY
        share = prevalence(made) if callable(prevalence) else prevalence
        times = np.where(made < CHANGED, 1.0, worse)
        truth = (rng.random(len(made)) < share).astype(int)
        luck = rng.random(len(made))
        given = np.where(truth == 1, luck >= missed * times, luck < false * times).astype(int)
        chosen = rng.random(len(made)) < labelled(made, truth, given)
        found = {
            "predicted": given[chosen].tolist(),
            "truth": truth[chosen].tolist(),
            "made_at": made,
        }
        times, wrong = made[chosen], (truth != given)[chosen].astype(float)
        return LabelEvents(times, times + 60, wrong, **{name: found[name] for name in kept})

    return make


ALL = ("predicted", "truth", "made_at")


def half(made, truth, given):
    return np.full(len(made), 0.5)


def half_a_day(made, truth, given):
    return np.where((hour_of(made) >= 9) & (hour_of(made) < 17), 0.9, 0.0)


def after(made, otherwise):
    """Half of all before the change, and this share from then on."""
    return np.where(made < CHANGED, 0.5, otherwise)


def by_truth(made, truth, given):
    return after(made, np.where(truth == 1, 0.5, 0.15))


def by_prediction(made, truth, given):
    return after(made, np.where(given == 1, 0.5, 0.1))


def by_error(made, truth, given):
    return after(made, np.where(truth == given, 0.2, 0.5))


def fewer(made, truth, given):
    return after(made, 0.2)


def of_two(after_change, shares):
    """Two people label; `shares` are those of the second, before and after."""

    def make(rng):
        times = MONDAY + np.sort(rng.random(PER_DAY * DAYS)) * DAYS * DAY
        second = rng.random(len(times)) < np.where(times < CHANGED, *shares)
        wrong = np.where(second, after_change, 0.08)
        bad = (rng.random(len(times)) < wrong).astype(float)
        source = np.where(second, "anna", "ben").tolist()
        return LabelEvents(times, times + 60, bad, source=source)

    return make


def bunches(rng):
    """Ten labels within an hour, nearly all right or nearly all wrong; nobody names the unit."""
    count = PER_DAY * DAYS // 10
    own = np.repeat(rng.beta(0.1, 0.9, count), 10)
    starts = MONDAY + rng.random(count) * DAYS * DAY
    times = (starts[:, None] + 3600 * rng.random((count, 10))).ravel()
    return LabelEvents(times, times + 60, (rng.random(len(times)) < own).astype(float))


def busy_morning(times):
    return np.where((hour_of(times) >= 9) & (hour_of(times) < 15), 0.4, 0.1)


def elsewhere(rng):
    """Weekends of a time zone, half hours included."""
    zone = rng.choice([-8.0, -5.0, 3.0, 5.5, 7.0, 9.0, 10.0, 12.0])
    return lambda times: weekend(times + zone * 3600)


QUIET = {
    "weekends nine hours from here": lambda rng: stream(rng, lambda t: weekend(t + 9 * 3600)),
    "weekends of many zones": lambda rng: stream(rng, elsewhere(rng)),
    "prevalence by the hour": classifier(half, busy_morning),
    "a rare class": classifier(half, 0.01, missed=0.5, false=0.01),
    "a rare error": lambda rng: stream(rng, lambda t: np.full(len(t), 0.005)),
    "labels of working hours only": classifier(half_a_day),
    "bunches that nobody names": bunches,
    "fewer labels of all": classifier(fewer, kept=ALL),
    "more labels of the stricter one": of_two(0.2, (0.2, 0.8)),
}

CHANGED_LABELLING = {
    "by the true class": (classifier(by_truth, kept=ALL), 0.5),
    "by the predicted class": (classifier(by_prediction, kept=ALL), 0.1),
    "by the error": (classifier(by_error), 0.7),
    "by the error, predictions unknown": (classifier(by_error, kept=()), 0.7),
    "by another person": (of_two(0.3, (0.0, 1.0)), 1.0),
}


def allowed(runs):
    return 0.05 * runs + 3 * np.sqrt(0.0475 * runs)


@pytest.mark.parametrize("what", QUIET)
def test_a_month_without_a_change_has_an_alarm_in_one_of_twenty_at_most(what):
    false = sum(bool(opened) for _, opened in alarms(QUIET[what], runs=FEW))
    said(f"{what}, months with a false alarm", false, FEW)
    assert false <= allowed(FEW)


@pytest.mark.parametrize("what", CHANGED_LABELLING)
def test_another_labelling_is_no_alarm_and_the_program_says_that_it_cannot_tell(what):
    make, least = CHANGED_LABELLING[what]
    found = [change(make(np.random.default_rng(100 + seed)), LEARNT) for seed in range(FEW)]
    false = sum(any(one.what == "opened" for one in run) for run in found)
    said(f"labels {what}, months with a false alarm", false, FEW)
    assert false <= allowed(FEW)
    unsure = [[one for one in run if one.what == "cannot tell"] for run in found]
    said(f"labels {what}, cannot tell", sum(map(bool, unsure)), FEW)
    assert np.mean([bool(run) for run in unsure]) >= least - 0.3 * np.sqrt(least)
    assert all(one.reason and one.time >= CHANGED for run in unsure for one in run)


def test_a_model_that_is_worse_in_all_classes_is_found_though_they_are_looked_at():
    seen = []
    for seed in range(FEW):
        events = classifier(half, worse=2.0, kept=ALL)(np.random.default_rng(200 + seed))
        opened = [one for one in change(events, LEARNT) if one.what == "opened"]
        assert opened
        later = (events.predicted_at >= CHANGED) & (events.predicted_at <= opened[0].time)
        seen.append(later.sum())
    quantiles("labels until the alarm", seen)
    assert np.median(seen) <= 400


def test_an_alarm_of_votes_that_nobody_compares_any_more_ends():
    """The error doubles, an alarm is raised, and then another person labels."""
    rng = np.random.default_rng(7)
    times = MONDAY + np.sort(rng.random(PER_DAY * DAYS)) * DAYS * DAY
    bad = (rng.random(len(times)) < np.where(times < CHANGED, 0.1, 0.3)).astype(float)
    source = np.where(times < CHANGED + 7 * DAY, "ben", "anna").tolist()
    found = change(LabelEvents(times, times + 60, bad, source=source), LEARNT)
    assert [one.what for one in found] == ["opened", "closed"]
