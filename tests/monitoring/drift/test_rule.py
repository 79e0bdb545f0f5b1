"""What is flagged, when an episode opens and closes, and what is said of the rule."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from penstock.monitoring.drift.measurement import measure
from penstock.monitoring.drift.options import DriftOptions
from penstock.monitoring.drift.rule import Level, Subject, benjamini_hochberg, grade
from penstock.monitoring.drift.sample_comparison import compare
from penstock.monitoring.drift.sensitivity import (
    false_alarms_per_week,
    smallest_move,
    smallest_shift,
)
from penstock.monitoring.drift.states import Episode, advance

OPTIONS = DriftOptions()
BASELINE = [1000] * 10
CLEAN, WARN, CRITICAL = Level.CLEAN, Level.WARN, Level.CRITICAL


def subject(window, *, output=False, categorical=False):
    return Subject(compare(BASELINE, window, [False] * 10), output, categorical)


def test_benjamini_and_hochberg_are_scipys():
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = rng.uniform(size=20) ** 3
        expected = stats.false_discovery_control(p) <= 0.05
        assert benjamini_hochberg(p.tolist(), 0.05) == expected.tolist()


def test_significant_and_small_has_changed_and_is_not_flagged():
    window = [5300, 4700] * 5
    found = grade({"x": subject(window)}, OPTIONS)["x"]
    assert found.significant
    assert found.level is Level.SMALL
    assert not found.level.flagged


def test_large_and_by_chance_is_clean():
    found = grade({"x": subject([6, 2, 4, 5, 3, 1, 2, 6, 5, 3])}, OPTIONS)["x"]
    assert not found.significant
    assert found.level is CLEAN


def test_significant_and_large_is_flagged():
    assert grade({"x": subject([90, 80, 70] + [37] * 7)}, OPTIONS)["x"].level is WARN
    assert grade({"x": subject([200, 100, 50] + [20] * 7)}, OPTIONS)["x"].level is CRITICAL


def test_a_category_counts_by_its_share_too():
    baseline, window = [6000, 4000], [250, 250]
    comparison = compare(baseline, window, [False, False])
    assert comparison.psi < OPTIONS.psi_warn
    found = grade({"x": Subject(comparison, False, True)}, OPTIONS)["x"]  # noqa: FBT003
    assert found.level is WARN


def test_outputs_do_not_drown_among_inputs():
    weak = subject([77, 66, 60] + [42] * 7)
    crowd = {f"x{number}": subject([50] * 10) for number in range(200)}
    assert grade({**crowd, "y": weak}, OPTIONS)["y"].level is CLEAN
    judged = grade({**crowd, "y": Subject(weak.comparison, True, False)}, OPTIONS)  # noqa: FBT003
    assert judged["y"].significant


def run(levels, *, calibrating=False):
    episode, states = Episode(), []
    for number, level in enumerate(levels):
        episode = advance(episode, level, float(number), calibrating=calibrating)
        states.append(episode.open)
    return states


@pytest.mark.parametrize(
    ("levels", "states"),
    [
        ([WARN, CLEAN, CLEAN, WARN], [False] * 4),
        ([WARN, WARN], [False, True]),
        ([WARN, CLEAN, WARN], [False, False, True]),
        ([CRITICAL], [True]),
        ([WARN, WARN, CLEAN, CLEAN, CLEAN, WARN], [False, True, True, True, False, False]),
        ([CRITICAL, CLEAN, CLEAN, WARN, CLEAN, CLEAN], [True] * 6),
    ],
)
def test_episodes_open_and_close(levels, states):
    assert run(levels) == states


def test_while_calibrating_only_what_is_critical_counts():
    assert run([WARN, WARN, WARN], calibrating=True) == [False] * 3
    assert run([WARN, CRITICAL], calibrating=True) == [False, True]


def dispersion(windows):
    """Of chi-square over ten ordinary bins, for 500 effective rows."""
    found = measure(windows, [False] * 10).get("all")
    return 1.0 if found is None else found.inflation(9, 500)


def test_independent_windows_have_no_excess():
    rng = np.random.default_rng(5)
    windows = [rng.multinomial(500, [0.1] * 10) for _ in range(48)]
    assert dispersion(windows) < 1.3


def test_a_shift_that_is_always_there_is_not_taken_for_variation():
    rng = np.random.default_rng(5)
    shares = np.arange(1, 11) / 55
    windows = [rng.multinomial(500, shares) for _ in range(48)]
    assert dispersion(windows) < 1.3


def test_a_cycle_is_variation():
    rng = np.random.default_rng(5)
    tilt = np.linspace(-1, 1, 10)
    windows = [
        rng.multinomial(500, 0.1 + 0.05 * tilt * np.sin(2 * np.pi * hour / 24))
        for hour in range(48)
    ]
    assert dispersion(windows) > 4


def test_too_few_windows_teach_nothing():
    assert measure([np.array([1, 99]), np.array([99, 1])], [False, False]) == {}


def test_more_rows_show_smaller_shifts_up_to_what_matters():
    shifts = [smallest_shift(float(rows), 20, OPTIONS) for rows in (100, 500, 5000, 1_000_000)]
    assert shifts == sorted(shifts, reverse=True)
    assert 0.35 < shifts[1] < 0.45
    assert shifts[-1] == pytest.approx(0.323, abs=0.01)  # PSI 0.10, however many rows


def test_categories_have_a_smallest_move():
    assert 0.03 < smallest_move(0.5, 476.0, 20, OPTIONS) < 0.06
    assert smallest_shift(5.0, 20, OPTIONS) == float("inf")


def test_expected_false_alarms_fall_with_the_rows():
    rates = [
        false_alarms_per_week([subject([rows // 10] * 10)] * 20, 3600.0, OPTIONS)
        for rows in (100, 200, 500)
    ]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] < 168 * 0.001
    assert false_alarms_per_week([], 3600.0, OPTIONS) == 0
