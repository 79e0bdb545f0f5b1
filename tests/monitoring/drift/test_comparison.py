"""Two histograms of the same bins: size of the difference, and its probability by chance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from penstock.monitoring.drift.sample_comparison import compare

PLAIN = (False,) * 4
STRANGE = (False, False, False, True)


def test_the_statistic_is_scipys_of_the_table():
    baseline, window = [400, 300, 200, 100], [30, 45, 15, 10]
    found = compare(baseline, window, PLAIN)
    exact = stats.chi2_contingency([baseline, window], correction=False)
    assert found.statistic == pytest.approx(exact.statistic)
    assert found.p_value() == pytest.approx(exact.pvalue)
    assert found.degrees == 3


def test_equal_shares_are_no_difference():
    found = compare([400, 300, 200, 100], [40, 30, 20, 10], PLAIN)
    assert found.psi < 0  # what noise alone would add is taken off
    assert found.statistic == pytest.approx(0)
    assert found.p_value() == 1
    assert found.moved == 0


def test_noise_has_no_mean():
    rng = np.random.default_rng(3)
    shares = [0.1] * 10
    found = [
        compare(
            rng.multinomial(2000, shares).tolist(),
            rng.multinomial(200, shares).tolist(),
            [False] * 10,
        )
        for _ in range(2000)
    ]
    psi = np.array([one.psi for one in found])
    assert abs(psi.mean()) < 4 * psi.std() / np.sqrt(len(psi))
    p = np.array([one.p_value() for one in found])
    assert stats.kstest(p, "uniform").pvalue > 0.001


def test_something_never_seen_before_is_noticed_although_it_is_rare():
    found = compare([4000, 3000, 3000, 0], [196, 147, 147, 10], STRANGE)
    assert found.p_value() < 1e-9
    assert found.psi > 0.1


def test_one_stranger_is_chance():
    found = compare([4000, 3000, 3000, 1], [199, 150, 150, 1], STRANGE)
    assert found.p_value() > 0.05


def test_the_tail_is_scipys():
    found = compare([4000, 3000, 3000, 2], [200, 150, 145, 4], STRANGE)
    share = 499 / (10_002 + 499)
    assert found.rest_tail == pytest.approx(stats.binom.sf(3, 6, share))


def test_many_rare_categories_are_taken_together():
    baseline = [5000, 5000, *[10] * 40]
    window = [50, 50, *[0] * 40]
    found = compare(baseline, window, [False] * 42)
    assert found.degrees <= 2
    assert found.p_value() > 0.01


def test_dispersion_makes_a_difference_less_remarkable():
    found = compare([4000, 3000, 2000, 1000], [120, 180, 120, 80], PLAIN)
    assert found.p_value() < 1e-4
    assert found.p_value(10.0) > 0.1


@pytest.mark.parametrize(("baseline", "window"), [([0] * 4, [5] * 4), ([5] * 4, [0] * 4)])
def test_nothing_to_compare_is_no_difference(baseline, window):
    found = compare(baseline, window, PLAIN)
    assert (found.p_value(), found.psi) == (1, 0)
