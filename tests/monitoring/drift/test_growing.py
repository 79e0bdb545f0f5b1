"""Which columns only grow, and which only have a trend."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from penstock.monitoring.drift.growing import Growth, sequences
from penstock.monitoring.drift.learning import category_reference, number_reference
from penstock.monitoring.drift.row_sample import Cells, RowSample

ROWS, WINDOWS = 400, 8


def test_sequences_are_the_longest_falling_subsequence():
    rng = np.random.default_rng(0)
    for _ in range(50):
        values = rng.integers(0, 6, 9).astype(float)
        longest = max(
            size
            for size in range(1, 10)
            if any((np.diff(values[list(one)]) < 0).all() for one in combinations(range(9), size))
        )
        assert sequences(values) == longest
        assert [sequences(values, most) > most for most in range(12)] == [
            longest > most for most in range(12)
        ]


def workers(rng, rows, number, block):
    """Ids that workers hand out, each from a block of its own."""
    free, place, left = 0, [0] * number, [0] * number
    found = np.zeros(rows)
    for row, one in enumerate(rng.integers(0, number, rows).tolist()):
        if not left[one]:
            place[one], left[one], free = free, block, free + block
        found[row] = place[one]
        place[one] += 1
        left[one] -= 1
    return found


def arrivals(rng, rows):
    return 1.7e9 + np.cumsum(rng.exponential(0.3, rows))


def texts(values):
    return np.array(values, object)


GROWS = {
    "ids": lambda rng, n: np.arange(n) + 1e6,
    "ids with gaps": lambda rng, n: np.cumsum(rng.integers(1, 30, n)).astype(float),
    "falling": lambda rng, n: 1e6 - np.arange(n),
    "times": arrivals,
    "times out of order": lambda rng, n: arrivals(rng, n) + rng.exponential(0.5, n),
    "seconds": lambda rng, n: np.floor(arrivals(rng, n)),
    "minutes": lambda rng, n: np.floor(arrivals(rng, n) / 6),
    "six workers": lambda rng, n: workers(rng, n, 6, 100),
    "three workers, far apart": lambda rng, n: workers(rng, n, 3, 10**6),
    "text ids": lambda rng, n: texts([f"order-{one}" for one in range(n)]),
    "random text ids": lambda rng, n: texts([f"{one:x}" for one in rng.integers(0, 2**62, n)]),
    "sessions": lambda rng, n: texts([f"s{row // 8 + rng.integers(0, 4)}" for row in range(n)]),
}
STAYS = {
    "noise": lambda rng, n: rng.standard_normal(n),
    "a trend of five sd": lambda rng, n: rng.standard_normal(n) + np.arange(n) / n * 5,
    "a trend of a hundred sd": lambda rng, n: rng.standard_normal(n) + np.arange(n) / n * 100,
    "whole numbers with a trend": lambda rng, n: np.round(rng.normal(0, 3, n) + np.arange(n) / 60),
    "a walk": lambda rng, n: np.cumsum(rng.standard_normal(n)),
    "random ids": lambda rng, n: rng.integers(0, 10**9, n).astype(float),
    "constant": lambda rng, n: np.ones(n),
    "a step": lambda rng, n: (np.arange(n) > n / 2).astype(float),
    "batches that are sorted": lambda rng, n: np.sort(
        rng.standard_normal((WINDOWS, n // WINDOWS)), axis=1
    ).ravel(),
    "half of it missing": lambda rng, n: np.where(rng.random(n) < 0.6, np.nan, np.arange(n)),
    "names": lambda rng, n: texts([f"n{one}" for one in rng.integers(0, 2000, n)]),
    "few texts": lambda rng, n: texts(["a", "b"] * (n // 2)),
}


def growing(make, seed):
    """Whether the column is taken for one that grows, after each window."""
    rng = np.random.default_rng(seed)
    values = make(rng, ROWS * WINDOWS)
    other = rng.standard_normal(ROWS * WINDOWS)
    categorical = values.dtype == object
    first = values[:200]
    reference = category_reference(first.tolist()) if categorical else number_reference(first)
    growth, found = Growth(), []
    for low in range(0, len(values), ROWS):
        sample = RowSample()
        part = slice(low, low + ROWS)
        sample.take(
            [
                Cells("x", reference, values[part]),
                Cells("other", number_reference(other[:200]), other[part]),
            ]
        )
        growth.look(sample)
        growth = Growth.from_dict(growth.to_dict())
        found.append(growth.growing)
    return found


@pytest.mark.parametrize("kind", GROWS)
def test_a_column_that_only_grows_is_recognised(kind):
    for seed in range(3):
        assert growing(GROWS[kind], seed)[3:] == [["x"]] * (WINDOWS - 3)


@pytest.mark.parametrize("kind", STAYS)
def test_any_other_column_is_not(kind):
    for seed in range(3):
        assert growing(STAYS[kind], seed) == [[]] * WINDOWS


def test_ids_that_begin_again_go_on_growing():
    def make(rng, rows):
        return np.concatenate([np.arange(rows / 2), np.arange(rows / 2)])

    assert growing(make, 0)[1:] == [["x"]] * (WINDOWS - 1)
