"""Our own chi-square against SciPy's."""

from __future__ import annotations

import pytest
from scipy import stats

from penstock.monitoring.drift.chi_square import quantile, shifted_survival, survival


@pytest.mark.parametrize("degrees", [1, 2, 3, 9, 13, 52, 200])
def test_survival_is_scipys(degrees):
    for value in (1e-9, 0.01, 0.5, degrees / 2, degrees, 2 * degrees, 5 * degrees, 600.0):
        assert survival(value, degrees) == pytest.approx(stats.chi2.sf(value, degrees), rel=1e-9)


def test_ends():
    assert survival(-1.0, 3) == survival(0.0, 3) == 1.0
    assert survival(float("inf"), 3) == 0.0
    assert survival(1e5, 9) == 0.0


@pytest.mark.parametrize("probability", [0.01, 0.5, 0.999])
def test_quantile_is_scipys(probability):
    assert quantile(probability, 9) == pytest.approx(stats.chi2.ppf(probability, 9), rel=1e-9)


def test_power_is_near_scipys_noncentral_distribution():
    for noncentrality in (5.0, 20.0, 40.0, 80.0):
        exact = stats.ncx2.sf(30.0, 9, noncentrality)
        assert shifted_survival(30.0, 9, noncentrality) == pytest.approx(exact, abs=0.012)
