"""All windows at once give what `compare` gives for one window after the other."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.monitoring.drift.leave_one_out import leave_one_out
from penstock.monitoring.drift.sample_comparison import compare


def one_by_one(windows, exceptional, ordered):
    """The plain way: a call of `compare` for each window."""
    total, found = windows.sum(axis=0), {}
    for counts in windows:
        one = compare((total - counts).tolist(), counts.tolist(), exceptional, ordered)
        for name, test in one.tests.items():
            row = test.value, test.degrees, one.effective_rows
            found.setdefault(name, []).append(row)
    return {name: np.array(rows) for name, rows in found.items()}


def check(windows, exceptional, ordered):
    expected = one_by_one(windows, exceptional, ordered)
    found = leave_one_out(windows, exceptional, ordered)
    assert found.keys() == expected.keys()
    for name, rows in expected.items():
        np.testing.assert_allclose(found[name], rows, rtol=1e-7, atol=1e-9, err_msg=name)


NUMBERS = (True, *[False] * 20, True, True, True), 22
CATEGORIES = (*[False] * 12, True, True), 0


@pytest.mark.parametrize(("exceptional", "ordered"), [NUMBERS, CATEGORIES])
@pytest.mark.parametrize("rows", [3, 60, 500, 20_000])
@pytest.mark.parametrize("spread", [0.05, 1.0, 50.0])
def test_all_windows_at_once_are_each_compared_with_the_others(exceptional, ordered, rows, spread):
    """Even bins, uneven ones, and nearly all rows in one; windows of different sizes."""
    rng = np.random.default_rng([len(exceptional), rows, int(100 * spread)])
    for _ in range(10):
        shares = rng.dirichlet(np.full(len(exceptional), spread))
        sizes = rng.integers(1, 2 * rows, 12)
        check(np.stack([rng.multinomial(size, shares) for size in sizes]), exceptional, ordered)


def test_windows_that_differ_much_are_far_away():
    windows = np.zeros((12, 24), np.int64)
    windows[np.arange(12), np.arange(12) + 1] = 1000
    check(windows, *NUMBERS)
    assert leave_one_out(windows, *NUMBERS)["all"][:, 0].min() > 1000


@pytest.mark.parametrize("used", [[0], [3], [22], [23], [3, 4], [3, 4, 23], [0, 21, 22, 23]])
def test_bins_without_rows_are_nothing(used):
    windows = np.zeros((9, 24), np.int64)
    windows[:, used] = np.random.default_rng(len(used)).integers(1, 200, (9, len(used)))
    check(windows, *NUMBERS)


def test_rows_of_one_window_only_are_compared_with_none():
    """A bin that only one window has, and ascending bins that only one window has."""
    windows = np.zeros((8, 24), np.int64)
    windows[:, 23] = 100
    windows[2, 1:6] = 10
    check(windows, *NUMBERS)
