"""What of windows comes back in a cycle, and what does not."""

from __future__ import annotations

import json
import math
from itertools import product

import numpy as np
import pytest

from penstock.monitoring.drift.components import Statistic
from penstock.monitoring.drift.dependence import dependence
from penstock.monitoring.drift.leave_one_out import leave_one_out
from penstock.monitoring.drift.measurement import measure
from penstock.monitoring.drift.recurrence import compare_within, places, places_with_weekend
from penstock.monitoring.drift.variation import from_json, p_value, to_json, windows_apart

BINS = 12
PLAIN = [False] * BINS
HOURS = np.arange(168)
DAY = np.sin(2 * np.pi * HOURS / 24)


def windows(level, seed=0, rows=500):
    """Counts of ten even bins whose shares tilt with the level; two bins are empty."""
    rng = np.random.default_rng(seed)
    tilt = np.append(np.linspace(-1, 1, BINS - 2), [0, 0])
    even = np.append(np.full(BINS - 2, 0.1), [0, 0])
    return np.stack([rng.multinomial(rows, even + 0.05 * tilt * one) for one in level])


def wandering(memory, seed):
    rng, level = np.random.default_rng(seed), np.zeros(168)
    for hour in range(1, 168):
        level[hour] = memory * level[hour - 1] + np.sqrt(1 - memory**2) * rng.standard_normal()
    return level.clip(-2, 2) / 2


@pytest.mark.parametrize("ordered", [0, BINS])
def test_within_one_group_windows_are_compared_as_each_with_all_others(ordered):
    counts = windows(DAY)
    found = compare_within(counts, np.zeros(168, np.int64), ordered)
    expected = leave_one_out(counts, PLAIN, ordered)
    assert found.keys() == expected.keys()
    # The tail of one bin is normal here and exact there.
    mean = found.pop("single")[:, 0].mean()
    assert mean == pytest.approx(expected["single"][:, 0].mean(), rel=0.15)
    for name, rows in found.items():
        np.testing.assert_allclose(rows, expected[name], rtol=1e-9, atol=1e-9)


def test_windows_of_different_groups_are_not_compared():
    groups = places(168, 24)
    found = compare_within(windows(DAY), groups, BINS)
    for name, rows in found.items():
        assert rows[:, 0].sum() / rows[:, 1].sum() < 1.3, name
    assert compare_within(windows(DAY)[:24], groups[:24], BINS) == {}


def test_rare_bins_and_windows_without_rows_are_no_difference():
    counts = np.zeros((48, BINS), np.int64)
    counts[:, 0], counts[7, 1] = 100, 1
    for rows in compare_within(counts, places(48, 24), BINS).values():
        assert np.isfinite(rows).all()
        assert rows[:, 0].max() < 10


@pytest.mark.parametrize("level", [DAY, DAY > 0.9, (HOURS % 24 > 8) & (HOURS % 24 < 17)])
def test_the_period_is_the_lag_at_which_windows_are_most_alike(level):
    assert dependence(windows(level.astype(float))).period == 24


@pytest.mark.parametrize("start", [0, 30, 100, 150])
def test_two_days_unlike_the_others_are_set_apart_wherever_the_week_begins(start):
    weekend = (HOURS - start) % 168 < 48
    found = places_with_weekend(windows(0.5 * DAY + 0.5 * weekend), 24)
    assert ((found >= 24) != weekend).sum() <= 4
    assert (found % 24 == HOURS % 24).all()
    assert places_with_weekend(windows(DAY)[:160], 24) is None


def test_a_cycle_with_a_weekend_comes_back_and_nothing_wanders():
    weekend = (HOURS - 30) % 168 < 48
    for level in (DAY, 0.6 * DAY + 0.4 * weekend):
        found = measure(list(windows(level)), PLAIN, BINS)
        assert found
        assert all(one.recurs for one in found.values())


def test_what_wanders_beside_a_cycle_is_no_part_of_it():
    found = measure(list(windows(0.5 * DAY + 0.5 * wandering(0.8, 3))), PLAIN, BINS)
    assert all(one.period == 24 and not one.recurs for one in found.values())
    location = found["location"]
    assert 0.5 < location.memory < 0.99
    assert windows_apart(found) >= 4
    assert from_json(to_json(found)) == found


def test_variations_of_an_earlier_release_are_read():
    found = from_json({"all": [0.1, 0.2, 9.0, 0.5, 0.3, True]})["all"]
    assert found.recurs
    assert windows_apart({"all": found}) == 4


@pytest.mark.parametrize("comes_back", [True, False])
def test_variations_of_an_earlier_release_are_written_as_they_were(comes_back):
    """The id of a baseline is the hash of its bytes: with another one, all would begin anew."""
    content = json.dumps({"all": [0.1, 0.2, 9.0, 0.5, 0.3, comes_back]})
    assert json.dumps(to_json(from_json(json.loads(content)))) == content


@pytest.mark.parametrize(
    ("place", "figure"), [*product(range(7), (-1, math.nan)), (2, 0.0), (3, 1.0), (4, math.inf)]
)
def test_variations_that_nothing_measures_are_refused(place, figure):
    """A memory of 1 or a distance below 0 would be an error in the judgement of each window."""
    content = [0.1, 0.2, 9.0, 0.5, 0.3, 24, 0.1]
    assert from_json({"all": content})
    content[place] = figure
    with pytest.raises(ValueError, match=r"none|NaN"):
        from_json({"all": content})


def test_an_episode_in_a_cycle_lasts_until_a_whole_cycle_was_clean():
    assert windows_apart({}) == 1
    assert windows_apart(measure(list(windows(DAY)), PLAIN, BINS)) == 24


def test_a_test_that_no_healthy_window_allowed_is_judged_by_the_variation_of_the_others():
    """Rows beyond all bins are rare enough to be counted together in far windows only."""
    found = measure(list(windows(wandering(0.9, 5))), PLAIN, BINS)
    assert found
    assert "rest" not in found
    assert p_value("rest", Statistic(60.0, 1.0), 400.0, found) > 0.01
    assert p_value("rest", Statistic(60.0, 1.0), 400.0, {}) < 1e-10
