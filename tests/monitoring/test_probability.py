"""Probabilities against other ways to compute them, at the ends, and without SciPy."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from math import comb

import pytest
from scipy import stats

from penstock.monitoring.probability import (
    binomial_upper_tail,
    chi_square_survival,
    chi_square_upper_quantile,
    noncentral_chi_square_survival,
)


@pytest.mark.parametrize("degrees", [1, 2, 3, 9, 13, 52, 200])
def test_survival_is_scipys(degrees):
    for value in (1e-9, 0.01, 0.5, degrees / 2, degrees, 2 * degrees, 5 * degrees, 600.0):
        expected = stats.chi2.sf(value, degrees)
        assert chi_square_survival(value, degrees) == pytest.approx(expected, rel=1e-9)


def test_ends():
    assert chi_square_survival(-1.0, 3) == chi_square_survival(0.0, 3) == 1.0
    assert chi_square_survival(float("inf"), 3) == 0.0
    assert chi_square_survival(1e5, 9) == 0.0


@pytest.mark.parametrize("probability", [0.99, 0.5, 0.001, 1e-30])
def test_a_quantile_is_exceeded_with_its_probability(probability):
    value = chi_square_upper_quantile(probability, 9)
    assert value == pytest.approx(stats.chi2.isf(probability, 9), rel=1e-9)
    assert chi_square_survival(value, 9) == pytest.approx(probability, rel=1e-9)


def test_power_is_scipys_noncentral_distribution():
    for noncentrality in (0.0, 5.0, 20.0, 40.0, 80.0, 1e9):
        exact = stats.ncx2.sf(30.0, 9, noncentrality)
        found = noncentral_chi_square_survival(30.0, 9, noncentrality)
        assert found == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize(
    ("number", "trials", "chance"),
    [(1, 3, 1e-9), (20, 25, 1 / 8), (30, 2000, 1 / 512), (5, 5, 1.0)],
)
def test_a_binomial_tail_is_the_sum_of_its_terms(number, trials, chance):
    p = Fraction(chance)
    terms = (comb(trials, k) * p**k * (1 - p) ** (trials - k) for k in range(number, trials + 1))
    assert binomial_upper_tail(number, trials, chance) == pytest.approx(float(sum(terms)), rel=1e-9)


def test_a_binomial_tail_is_certain_from_zero_on_and_impossible_above_its_trials():
    assert binomial_upper_tail(0, 0, 0.5) == binomial_upper_tail(-1, 5, 0.5) == 1.0
    assert binomial_upper_tail(6, 5, 0.5) == 0.0


def test_without_scipy_the_error_says_what_to_install():
    program = (
        "import sys; sys.modules['scipy'] = None\n"
        "from penstock.monitoring import probability\n"
        "assert not probability.is_available()\n"
        "probability.chi_square_survival(1.0, 2)"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (
        "ModuleNotFoundError: SciPy is not installed; run: pip install 'penstock-server[monitor]'"
        in done.stderr
    )


def test_scipy_is_loaded_by_the_first_call_only():
    program = (
        "import sys\n"
        "from penstock.monitoring import probability\n"
        "from penstock.monitoring.drift import consumer\n"
        "assert probability.is_available() and 'scipy' not in sys.modules\n"
        "probability.chi_square_survival(1.0, 2)\n"
        "assert 'scipy' in sys.modules and 'scipy.stats' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
