"""Distinct rows of a window: which are kept, how often they came, and what they cost."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from penstock.monitoring.drift.learning import category_reference, number_reference
from penstock.monitoring.drift.repeats import RepeatHistory, counted_once
from penstock.monitoring.drift.row_sample import MOST_CELLS, MOST_ROWS, Cells, RowSample
from penstock.monitoring.drift.window import Window

NUMBERS = number_reference(np.random.default_rng(0).standard_normal(2000))
COLOURS = category_reference(["red", "green", "blue"] * 100)


def cells(numbers, colours=None):
    found = [Cells("x", NUMBERS, numbers), Cells("y", NUMBERS, -numbers)]
    return found if colours is None else [*found, Cells("colour", COLOURS, colours)]


def rows_of(rng, rows, different):
    """Rows of which many are equal."""
    numbers = rng.standard_normal(different)
    return numbers[rng.integers(0, different, rows)]


def test_every_occurrence_of_a_kept_row_is_counted():
    rng = np.random.default_rng(1)
    values = rows_of(rng, 20_000, 5000)
    sample = RowSample()
    for frame in np.split(values, 40):
        sample.take(cells(frame))
    expected = Counter(values.tolist())
    assert len(sample.hashes) == MOST_ROWS
    assert {
        value: count
        for (value, _), count in zip(sample.values.tolist(), sample.counts.tolist(), strict=True)
    }.items() <= expected.items()
    assert sample.rows == 20_000
    assert sample.distinct == pytest.approx(len(expected), rel=0.12)
    in_order = sample.in_order()[:, 0].tolist()
    first = {value: place for place, value in reversed(list(enumerate(values.tolist())))}
    assert [first[one] for one in in_order] == sorted(first[one] for one in in_order)


def test_frames_do_not_matter():
    values = np.random.default_rng(2).standard_normal(3000)
    whole, parts = RowSample(), RowSample()
    whole.take(cells(values))
    for frame in np.array_split(values, 17):
        parts.take(cells(frame))
    assert (whole.hashes == parts.hashes).all()
    assert (whole.values == parts.values).all()
    assert (whole.places == parts.places).all()


def test_wide_rows_take_as_much_room():
    rng = np.random.default_rng(3)
    sample = RowSample()
    columns = rng.standard_normal((200, 4000))
    sample.take([Cells(f"x{place}", NUMBERS, one) for place, one in enumerate(columns)])
    assert sample.values.shape == (MOST_CELLS // 200, 200)


def test_the_row_that_comes_most_often_is_known_among_many():
    rng = np.random.default_rng(4)
    sample = RowSample()
    for _ in range(20):
        frame = rng.standard_normal(2000)
        frame[:300] = 0.25
        sample.take(cells(rng.permutation(frame)))
    assert sample.most_often == 6000


def test_rows_without_any_value_are_no_repetitions():
    sample = RowSample()
    sample.take(cells(np.full(500, np.nan), np.full(500, None, object)))
    assert sample.distinct == 500


def test_outputs_do_not_tell_rows_apart():
    scores = number_reference(np.arange(100.0), output=True)
    sample = RowSample()
    sample.take([Cells("x", NUMBERS, np.zeros(50)), Cells("score", scores, np.arange(50.0))])
    assert sample.distinct == 1


def test_rows_counted_once_are_counted_into_the_same_bins():
    rng = np.random.default_rng(5)
    numbers, colours = (
        rng.standard_normal(300),
        rng.choice(["red", "mauve", ""], 300).astype(object),
    )
    references = {"x": NUMBERS, "colour": COLOURS}
    window = Window(0.0, rows=900)
    repeated = np.repeat(np.arange(300), 3)
    columns = [
        Cells("x", NUMBERS, numbers[repeated]), Cells("colour", COLOURS, colours[repeated])
    ]  # fmt: skip
    for one in columns:
        window.add(*one)
    window.sample.take(columns)
    once = counted_once(window, window.sample, references)
    for name, reference in references.items():
        assert (3 * once.counts[name] == window.counts[name]).all(), reference
    assert once.rows == 300


def test_rows_that_always_repeat_are_no_flood():
    rng = np.random.default_rng(6)
    usual, rare = RepeatHistory(), RepeatHistory()
    for _ in range(10):
        few, many = RowSample(), RowSample()
        few.take(cells(rows_of(rng, 500, 20)))
        many.take(cells(rng.standard_normal(500)))
        assert usual.look(few) is None
        assert rare.look(many) is None
    flood = RowSample()
    values = rng.standard_normal(500)
    values[:200] = 7.0
    flood.take(cells(values))
    assert usual.look(flood) is None
    found = rare.look(flood)
    assert found.share == pytest.approx(199 / 500)
    assert found.often == pytest.approx(200 / 500)
