"""Alarms of drift rules, and the thresholds that make their false alarms equal."""

from __future__ import annotations

import pytest

from penstock.loadtests.drift_alarms import Scores, at_most, delay, finding, learnt, openings
from penstock.loadtests.drift_streams import BEFORE, HALF_MONTH


def healthy(**scores):
    """Half a month of zeros, but for these windows."""
    found = [0.0] * HALF_MONTH
    for place, score in scores.items():
        found[int(place[1:])] = score
    return found


def test_an_alarm_is_over_after_three_windows_without_a_flag():
    flags = [bool(int(one)) for one in "0110001000010"]
    assert openings(flags) == [(1, 2), (6, 6), (11, 11)]
    assert openings([True, False, False, True]) == [(0, 3)]


def test_only_an_alarm_that_opens_after_the_change_has_found_it():
    before, after = [False] * BEFORE, [False, True, True]
    assert delay(before + after) == 2
    assert delay([*before[:-1], True, *after]) is None  # it was open
    assert delay(before) is None


def test_what_a_rule_does_is_counted_over_all_seeds():
    trials = [[0.0] * BEFORE + [5.0], [0.0] * BEFORE + [0.5]]
    found = finding([Scores(1.0, healthy(x3=2.0, x40=2.0), trials), Scores(1.0, healthy(), trials)])
    assert (found.months, found.alarms, found.days, found.trials) == (1.0, 2, 2, 4)
    assert found.delays == (1, 1)


def test_a_learnt_threshold_is_the_highest_score_of_the_own_baseline():
    trials = [[0.0] * BEFORE + [3.0]]
    one = Scores(1.0, healthy(x3=2.0), trials, week=(0.5, 2.0))
    other = Scores(1.0, healthy(x3=4.0), trials, week=(0.5, 3.0))
    found = learnt([one, other])
    assert (found.alarms, found.delays) == (1, (1,))
    assert learnt([Scores(0.5, healthy(), trials)]) is None


def test_the_threshold_is_the_laxest_that_raises_no_more_alarms():
    month = healthy(x3=9.0, x40=8.0, x80=7.0)
    trials = [[0.0] * BEFORE + [one] for one in (8.5, 7.5, 6.5)]
    found = at_most([[Scores(1.0, month, trials)]], 2)  # a month: one in these fifteen days
    assert (found.alarms, found.delays) == (1, (1,))
    # Of a score that is always above a low threshold, the one alarm that never ends is no choice.
    always = [one + 0.5 for one in month]
    higher = [[score + 0.5 for score in trial] for trial in trials]
    assert at_most([[Scores(1.0, always, higher)]], 2).delays == (1,)


@pytest.mark.parametrize(
    ("alarms", "delays"), [([1, 0, 0], (1,)), ([3, 2, 0], ()), ([3, 2, 2], None)]
)
def test_of_settings_with_flags_the_laxest_is_taken_that_all_stricter_ones_allow(alarms, delays):
    """By setting, from the default to the most cautious: alarms, and each finds less."""
    settings = [
        Scores(
            0.5,
            healthy(**{f"x{20 * place}": 1.0 for place in range(number)}),
            [[0.0] * BEFORE + [float(place == 0)]],
        )
        for place, number in enumerate(alarms)
    ]
    found = at_most([settings], 2)
    assert (found.delays if found else None) == delays
