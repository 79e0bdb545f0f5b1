"""The drift monitor on data that is not ideal, all of it through `assess`.

Many categories, text, ties, days and weeks, windows that remember those before. The figures of
`docs/trust.md` are made by these tests.
"""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from scipy.signal import lfilter

from penstock.monitoring.drift import assess
from penstock.monitoring.drift.stream import Rows

HOUR, DAY, WEEK = 3600.0, 86_400.0, 7 * 86_400.0
ROWS = 500


def zipf(exponent, number):
    """Names whose shares fall with their rank."""
    shares = np.arange(1, number + 1) ** -exponent
    edges = np.cumsum(shares / shares.sum())
    names = np.array([f"c{rank}" for rank in range(number)], object)
    return lambda rng, rows: names[np.searchsorted(edges, rng.random(rows)).clip(0, number - 1)]


def words(place):
    """A word of each of the names of characters: text with a long tail."""
    named = [unicodedata.name(chr(code), "") for code in range(0x20, 0x2F00)]
    found = np.array([one.split()[place] for one in named if one], object)
    return lambda rng, rows: found[rng.integers(0, len(found), rows)]


def uniform(number):
    return lambda rng, rows: rng.integers(0, number, rows).astype(str).astype(object)


def counts(rng, rows):
    """Whole numbers with ties and a long tail: few of them distinct in a small baseline."""
    return rng.geometric(0.2, rows).astype(float)


COLUMNS = {
    "20 alike": uniform(20),
    "200 alike": uniform(200),
    "3000 alike": uniform(3000),
    "Zipf 1.0": zipf(1.0, 10_000),
    "Zipf 1.2": zipf(1.2, 10_000),
    "Zipf 1.5": zipf(1.5, 10_000),
    "first words": words(0),
    "last words": words(-1),
    "counts": counts,
}


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_of_many_values_that_does_not_change_is_left_alone(column):
    """Each window has a baseline of its own: an unlucky one would be unlucky in all windows."""
    draw, changed, number = COLUMNS[column], 0, 0
    for rows, size in ((100, 100), (100, 2000), (300, 500), (1000, 500)):
        for seed in range(200):
            rng = np.random.default_rng([rows, size, seed])
            found = assess({"x": draw(rng, rows)}, [{"x": draw(rng, size)}])
            changed += found.verdicts[0].findings["x"]["level"] != "clean"
            assert not found.incidents
            number += 1
    assert changed / number <= 0.01


@pytest.mark.parametrize("column", ["20 alike", "Zipf 1.0", "Zipf 1.5", "first words"])
@pytest.mark.parametrize("change", ["renamed", "vanished"])
def test_a_category_that_is_renamed_or_gone_is_found(column, change):
    rng = np.random.default_rng(5)
    base = COLUMNS[column](rng, 10_000)
    names, shares = np.unique(base.astype(str), return_counts=True)
    victim = names[shares.argmax()]
    windows = []
    for _ in range(200):
        values = COLUMNS[column](rng, 3 * ROWS)
        if change == "renamed":
            values[values == victim] = "another"
        windows.append({"x": values[values != victim][:ROWS]})
    found = assess({"x": base}, windows).verdicts
    hits = sum(one.findings["x"]["level"] != "clean" for one in found)
    assert hits / len(found) >= 0.99


def numbers(rng, rows, features=20):
    return {f"x{one}": rng.standard_normal(rows) for one in range(features)}


def stuck(rng, values):
    values = values.copy()
    values[: len(values) // 10] = rng.standard_normal()
    return rng.permutation(values)


@pytest.mark.parametrize(
    ("change", "least"),
    [
        (lambda _, values: values * 1.5**0.5, 0.9),
        (stuck, 0.9),
        (lambda _, values: values + 0.2, 0.5),
        (lambda _, values: values + 0.5, 0.99),
    ],
    ids=["variance x 1.5", "a tenth is stuck", "0.2 sd", "0.5 sd"],
)
def test_a_change_of_one_of_twenty_features_is_named_in_one_window(change, least):
    rng = np.random.default_rng(6)
    base = numbers(rng, 10_000)
    windows = [numbers(rng, ROWS) for _ in range(100)]
    for one in windows:
        one["x7"] = change(rng, one["x7"])
    found = assess(base, windows, outputs=["x0", "x1"]).verdicts
    hits = sum(one.findings["x7"]["level"] != "clean" for one in found)
    assert hits / len(found) >= least


def remembering(rng, shape, memory):
    """AR(1) of variance 1."""
    noise = rng.standard_normal(shape) * np.sqrt(1 - memory**2)
    noise[:, 0] /= np.sqrt(1 - memory**2)
    return lfilter([1], [1, -memory], noise, axis=1)


def stream(kind, rng, features, hours):
    """Values of features, an hour of `ROWS` after the other."""
    shape = (features, hours * ROWS)
    times = np.arange(hours * ROWS) / ROWS
    name, _, memory = kind.partition(" ")
    if name == "rows":
        return remembering(rng, shape, float(memory))
    values = rng.standard_normal(shape)
    if name == "hours":
        slow = remembering(rng, (features, hours), float(memory))
        return values + 0.5 * np.repeat(slow, ROWS, axis=1)
    sizes, phases = rng.uniform(0.2, 0.8, (features, 1)), rng.uniform(0, 6.28, (features, 1))
    return values + sizes * np.sin(6.2832 * times / 24 + phases) + 0.5 * (times // 24 % 7 >= 5)


def hours_of(values, first, last):
    """Rows of some hours."""
    columns = {f"x{place}": one[first * ROWS : last * ROWS] for place, one in enumerate(values)}
    return Rows(columns, first * HOUR, last * HOUR)


KINDS = ["days and weekends", "rows 0.9", "rows 0.99", "hours 0.9", "hours 0.99"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_month_of_traffic_that_is_not_independent_opens_one_incident_at_most(kind):
    week, month = 168, 168 + 30 * 24
    values = stream(kind, np.random.default_rng(7), 6, month)
    windows = [hours_of(values, one, one + 1) for one in range(week, month)]
    found = assess(hours_of(values, 0, week), windows, outputs=["x0"])
    assert len(found.incidents) <= 1
    weeks = (month - week) / week
    assert found.expected_false_alarms_per_week <= 2 * (len(found.incidents) + 1) / weeks


def test_an_hour_of_traffic_is_a_provisional_baseline_that_opens_nothing():
    values = stream("days and weekends", np.random.default_rng(8), 4, 1 + 168 + 14 * 24)
    hours = values.shape[1] // ROWS
    windows = [hours_of(values, one, one + 1) for one in range(1, hours)]
    found = assess(hours_of(values, 0, 1), windows)
    states = [one.state for one in found.verdicts]
    assert set(states[:167]) == {"provisional"}
    assert "provisional" not in states[168:]
    assert not found.provisional
    assert found.incidents == []


def test_a_baseline_of_a_week_sees_what_a_cycle_does_not_explain():
    values = stream("days and weekends", np.random.default_rng(9), 4, 168 + 48)
    values[2, (168 + 24) * ROWS :] += 2.5
    windows = [hours_of(values, one, one + 1) for one in range(168, 168 + 48)]
    (incident,) = assess(hours_of(values, 0, 168), windows).incidents
    assert incident.features == ("x2",)
    assert 24 <= incident.opened <= 36


def test_features_that_move_together_are_one_incident_in_order_of_contribution():
    rng = np.random.default_rng(10)
    windows = [numbers(rng, ROWS, 7) for _ in range(9)]
    for place, one in enumerate(windows):
        if place >= 3:
            for name, shift in (("x1", 1.2), ("x2", 2.0), ("x3", 1.6)):
                one[name] = one[name] + shift * (place < 6)
    (incident,) = assess(numbers(rng, 10_000, 7), windows).incidents
    assert incident.features == ("x2", "x3", "x1")
    assert (incident.opened, incident.closed, incident.critical) == (3, 8, True)


@pytest.mark.parametrize(
    ("baseline", "window", "said"),
    [
        ({"x": [1.0]}, {"x": [1.0]}, "fewer than 2 rows"),
        ({"x": [1.0, 2.0], "y": [1.0]}, {"x": [1.0]}, "different lengths"),
        ({"x": [[1.0], [2.0]]}, {"x": [1.0]}, "2 axes"),
        ({"x": [1.0, 2.0]}, {"x": ["a"]}, "holds texts"),
    ],
)
def test_what_are_no_columns_is_refused(baseline, window, said):
    with pytest.raises(ValueError, match=said):
        assess(baseline, [window])
