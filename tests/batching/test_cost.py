from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.batching.cost import FIRST_MARGIN, CostModel, CostTable, knots_up_to

from .tables import linear_table


def test_knots_are_powers_of_two_and_their_middles_up_to_the_most_rows():
    assert knots_up_to(1) == [1]
    assert knots_up_to(2) == [1, 2]
    assert knots_up_to(33) == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 33]


@pytest.mark.parametrize(
    ("sizes", "seconds"),
    [((), ()), ((1, 2), (1.0,)), ((2, 1), (1.0, 1.0)), ((0,), (1.0,)), ((1,), (0.0,))],
)
def test_a_table_that_makes_no_sense_is_refused(sizes, seconds):
    with pytest.raises(ValueError, match=r"sizes|run time"):
        CostTable(sizes, seconds)


def test_sizes_between_and_beyond_the_measured_ones_are_on_the_line():
    model = CostModel(CostTable((1, 4), (2.0, 5.0)), 10)
    assert model.seconds[:5] == pytest.approx([2, 2, 3, 4, 5])
    assert model.seconds[10] == pytest.approx(11)


@pytest.mark.parametrize(
    ("base", "row", "efficient"), [(650e-6, 84e-6, 42), (0.0, 94e-6, 3), (1e-3, 0.0, 61)]
)
def test_the_efficient_size_depends_on_how_flat_the_model_is(base, row, efficient):
    model = CostModel(linear_table(base, row, 64), 64)
    assert abs(model.efficient - efficient) <= 2
    assert model.efficient <= model.saturated <= 64


@pytest.mark.parametrize(("row", "saturated"), [(9e-4, 3), (9e-3, 1)])
def test_a_model_that_gains_nothing_from_batching_shares_hops(row, saturated):
    assert CostModel(linear_table(0.0, row, 64), 64).saturated == saturated


def test_rows_that_get_dearer_in_company_run_alone():
    sizes = (1, 2, 4, 8)
    model = CostModel(CostTable(sizes, tuple(1e-3 * size**1.5 for size in sizes)), 8)
    assert model.saturated == 1


@given(
    st.lists(st.tuples(st.integers(1, 64), st.floats(1e-6, 10.0)), max_size=60),
    st.booleans(),
    st.integers(1, 64),
)
def test_predictions_stay_positive_finite_and_never_decrease(observations, trusted, most):
    model = CostModel(linear_table(1e-3, 1e-4, 64), 64, trusted=trusted)
    for number, (rows, seconds) in enumerate(observations):
        model.observe(rows, seconds)
        if number == 30:
            model.resize(most)
    seconds = np.array(model.seconds)
    assert len(seconds) == model.max_rows + 1
    assert np.isfinite(seconds).all()
    assert (seconds > 0).all()
    assert (np.diff(seconds) >= 0).all()
    assert 1 <= model.efficient <= model.saturated <= model.max_rows
    assert 1.03 <= model.margin <= 3.0


@given(st.floats(0, 20), st.integers(0, 100))
def test_rows_within_is_the_most_that_fit_with_the_margin(seconds, noise):
    model = CostModel(linear_table(0.1, 0.1, 64), 64)
    for _ in range(noise):
        model.observe(3, model.seconds[3] * 1.1)
    rows = model.rows_within(seconds)
    assert rows == 0 or model.seconds[rows] * model.margin <= seconds * (1 + 1e-12)
    assert rows == 64 or model.seconds[rows + 1] * model.margin > seconds * (1 - 1e-12)


def test_the_margin_settles_at_the_95th_percentile():
    model = CostModel(linear_table(1e-3, 0.0, 1), 1)
    random = np.random.default_rng(0)
    ratios = []
    for _ in range(20_000):
        seconds = 1e-3 * random.uniform(0.9, 1.1)
        ratios.append(seconds / model.seconds[1] > model.margin)
        model.observe(1, seconds)
    assert np.mean(ratios[5000:]) == pytest.approx(0.05, abs=0.01)


def test_one_outlier_does_not_move_the_table():
    model = CostModel(linear_table(1e-3, 1e-4, 64), 64)
    before = model.seconds[8]
    model.observe(8, 1000 * before)
    assert model.seconds[8] == before


@pytest.mark.parametrize("factor", [0.2, 0.7, 1.5, 5.0])
def test_a_changed_machine_is_learned_for_sizes_not_seen_too(factor):
    model = CostModel(linear_table(1e-3, 1e-4, 64), 64)
    before = list(model.seconds)
    for _ in range(200):
        model.observe(4, factor * before[4])
    assert model.seconds[4] == pytest.approx(factor * before[4], rel=0.1)
    assert model.seconds[64] == pytest.approx(factor * before[64], rel=0.3)


def test_an_unknown_model_is_known_after_its_first_run():
    model = CostModel(CostTable((1,), (1e-3,)), 8, trusted=False)
    model.observe(1, 5.0)
    assert model.seconds[1] == pytest.approx(5.0)


def test_a_fork_starts_from_what_is_known_and_learns_on_its_own():
    model = CostModel(linear_table(1e-3, 1e-4, 64), 64)
    fork = model.fork()
    assert fork.seconds == pytest.approx(model.seconds)
    assert fork.margin == FIRST_MARGIN
    fork.observe(1, 1.0)
    assert model.seconds[1] == pytest.approx(1.1e-3)
    assert fork.seconds[1] == pytest.approx(1.0)
