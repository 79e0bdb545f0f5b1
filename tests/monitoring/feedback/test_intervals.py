"""Intervals cover the truth on data that is not ideal: heavy tails, rare classes, users, ties."""

from __future__ import annotations

from math import erf, exp, pi, sqrt

import numpy as np
import pytest
from sklearn import metrics

from penstock.monitoring.feedback.intervals import (
    FEWEST_LOSSES,
    f1,
    mean,
    root_mean_square,
    share,
    wilson,
)
from penstock.monitoring.feedback.ranking import average_precision, roc_auc
from penstock.monitoring.feedback.tail import fit_pareto

RUNS = 600


def coverage(estimates, truth):
    """Share of the intervals that hold the truth, and share of the figures that have one."""
    said = [one for one in estimates if one.low is not None]
    held = [one.low <= truth <= one.high for one in said]
    return np.mean(held) if held else 1.0, len(said) / len(estimates)


def draws(draw, seed=1, runs=RUNS):
    rng = np.random.default_rng(seed)
    return [draw(rng) for _ in range(runs)]


@pytest.mark.parametrize(
    ("figure", "draw", "truth"),
    [
        (mean, lambda rng: np.abs(rng.standard_t(3, 1000)), 2 * sqrt(3) / pi),
        (mean, lambda rng: rng.lognormal(0, 1, 1000), exp(0.5)),
        (mean, lambda rng: rng.exponential(1, 1000), 1.0),
        (root_mean_square, lambda rng: rng.normal(size=1000), 1.0),
        (root_mean_square, lambda rng: rng.standard_t(10, 1000), sqrt(10 / 8)),
        (root_mean_square, lambda rng: rng.laplace(size=1000), sqrt(2)),
    ],
    ids=[
        "MAE of t3",
        "lognormal",
        "exponential",
        "RMSE of normal",
        "RMSE of t10",
        "RMSE of Laplace",
    ],
)
def test_skewed_losses_are_covered(figure, draw, truth):
    held, said = coverage([figure(one) for one in draws(draw)], truth)
    assert said > 0.5
    assert held >= 0.92  # 0.95 less four standard errors of the simulation


@pytest.mark.parametrize("size", [1000, 5000])
@pytest.mark.parametrize(
    ("figure", "draw", "truth"),
    [
        (root_mean_square, lambda rng, size: rng.standard_t(3, size), sqrt(3)),
        (mean, lambda rng, size: rng.lognormal(0, 2, size), exp(2)),
        (mean, lambda rng, size: rng.pareto(1.5, size) + 1, 3.0),
    ],
    ids=["RMSE of t3", "lognormal of 2", "Pareto of 1.5"],
)
def test_tails_that_no_sample_shows_have_no_interval(figure, draw, truth, size):
    """Of all figures, at most one in twenty has an interval that misses."""
    found = [figure(one) for one in draws(lambda rng: draw(rng, size), runs=300)]
    held, said = coverage(found, truth)
    assert said < 0.2
    assert said * (1 - held) <= 0.05


@pytest.mark.parametrize(
    ("draw", "truth"),
    [
        (lambda rng: rng.pareto(2.1, 1000) + 1, 2.1 / 1.1),
        (lambda rng: rng.pareto(2.5, 1000) + 1, 2.5 / 1.5),
        (lambda rng: np.abs(rng.standard_t(4, 1000)), 1.0),
        (lambda rng: rng.weibull(0.5, 1000), 2.0),
        (lambda rng: rng.exponential(1, 1000) * (rng.random(1000) < 0.05), 0.05),
    ],
    ids=["Pareto of 2.1", "Pareto of 2.5", "MAE of t4", "Weibull of 0.5", "mostly zero"],
)
def test_means_of_heavy_tails_reach_as_far_as_the_tail(draw, truth):
    held, said = coverage([mean(one) for one in draws(draw, seed=11)], truth)
    assert said > 0.25
    assert held >= 0.93


def test_means_are_covered_where_users_have_one_to_a_hundred_rows():
    sizes = np.random.default_rng(12).integers(1, 101, 600)
    units = np.repeat(np.arange(len(sizes)), sizes)

    def draw(rng):
        return rng.exponential(1, len(sizes))[units] * rng.exponential(1, len(units))

    held, said = coverage([mean(one, units) for one in draws(draw, seed=12, runs=300)], 1.0)
    assert said > 0.2
    assert held >= 0.93


def test_losses_of_two_sizes_have_an_interval_of_their_mean():
    """As the log loss of a model that gives few different probabilities."""
    found = mean(np.repeat([0.01, 3.0], [900, 100]))
    assert found.value == pytest.approx(0.309)
    assert found.low < found.value < found.high


def test_few_losses_have_no_interval():
    values = np.arange(float(FEWEST_LOSSES))
    assert mean(values).low is not None
    assert mean(values[1:]).low is None
    assert mean(values[:0]) is None


def test_the_interval_of_equal_losses_is_a_point():
    found = mean(np.full(FEWEST_LOSSES, 2.0))
    assert (found.value, found.low, found.high) == (2.0, 2.0, 2.0)


@pytest.mark.parametrize(
    ("trials", "rate"),
    [(20, 0.05), (50, 0.01), (100, 0.02), (100, 0.5), (1000, 0.001), (1000, 0.002), (200, 0.99)],
)
def test_shares_of_rare_classes_are_covered(trials, rate):
    hits = np.random.default_rng(2).binomial(trials, rate, 4000)
    held, said = coverage([wilson(float(one), float(trials)) for one in hits], rate)
    assert said == 1
    assert held >= 0.93


@pytest.mark.parametrize("rate", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("alike", [1.0, 50.0])
@pytest.mark.parametrize("users", [30, 300])
def test_shares_are_covered_where_rows_come_by_user(rate, alike, users):
    """Ten rows a user; with `alike` 1 a user is nearly always right or nearly always wrong."""
    units = np.repeat(np.arange(users), 10)

    def draw(rng):
        own = rng.beta(rate * alike, (1 - rate) * alike, users)
        return (rng.random(len(units)) < own[units]).astype(float)

    found = [share(hits, np.ones(len(hits)), units) for hits in draws(draw)]
    held, said = coverage(found, rate)
    assert said == 1
    assert held >= 0.91


@pytest.mark.parametrize("alike", [1.0, 20.0])
def test_shares_are_covered_where_users_have_one_to_a_hundred_rows(alike):
    sizes = np.exp(np.random.default_rng(14).uniform(0, np.log(100), 250)).astype(int) + 1
    units = np.repeat(np.arange(len(sizes)), sizes)

    def draw(rng):
        own = rng.beta(0.9 * alike, 0.1 * alike, len(sizes))
        return (rng.random(len(units)) < own[units]).astype(float)

    found = [share(hits, np.ones(len(hits)), units) for hits in draws(draw, seed=15)]
    held, said = coverage(found, 0.9)
    assert said == 1
    assert held >= 0.93


def test_few_users_have_no_interval():
    units = np.repeat(np.arange(10), 10)
    hits = np.tile([1.0, 0.0], 50)
    assert share(hits, np.ones(100), units).low is None
    assert share(hits, np.ones(100), None).low is not None


def test_losses_are_covered_where_rows_come_by_user():
    units = np.repeat(np.arange(600), 5)

    def draw(rng):
        return rng.exponential(1, 600)[units] * rng.exponential(1, len(units))

    held, said = coverage([mean(one, units) for one in draws(draw, runs=400)], 1.0)
    assert said > 0.9
    assert held >= 0.92


@pytest.mark.parametrize("decimals", [1, 9])
@pytest.mark.parametrize("rate", [0.3, 0.001, 0.0001])
def test_areas_are_those_of_scikit_learn_with_ties_and_rare_positives(rate, decimals):
    rng = np.random.default_rng(3)
    positive = (rng.random(300_000) < rate).astype(float)
    scores = np.round(rng.normal(size=len(positive)) + 2 * positive, decimals)
    area = roc_auc(scores, positive)
    assert area.value == pytest.approx(metrics.roc_auc_score(positive, scores), abs=1e-9)
    precision = average_precision(scores, positive)
    theirs = metrics.average_precision_score(positive, scores)
    assert precision.value == pytest.approx(theirs, abs=1e-9)


def test_scores_that_crowd_near_zero_are_told_apart():
    """Of a rare class all scores are small: bins of equal width would hold them all in one."""
    rng = np.random.default_rng(4)
    positive = (rng.random(100_000) < 1e-3).astype(float)
    scores = 1e-4 * np.exp(rng.normal(size=len(positive)) + 2 * positive)
    assert roc_auc(scores, positive).value == pytest.approx(0.5 * (1 + erf(1)), abs=0.03)


@pytest.mark.parametrize(("size", "rate"), [(400, 0.2), (2000, 0.03), (200, 0.5)])
def test_areas_are_covered(size, rate):
    truth = 0.5 * (1 + erf(0.75))

    def draw(rng):
        positive = (rng.random(size) < rate).astype(float)
        return roc_auc(rng.normal(size=size) + 1.5 * positive, positive)

    held, said = coverage(draws(draw, runs=500), truth)
    assert said > 0.95
    assert held >= 0.92


def test_areas_are_covered_where_rows_come_by_user():
    units = np.repeat(np.arange(80), 10)

    def draw(rng):
        own = rng.normal(size=80)
        positive = (rng.random(800) < 0.3).astype(float)
        return roc_auc(rng.normal(size=800) + own[units] + 1.5 * positive, positive, units)

    held, said = coverage(draws(draw, runs=300), 0.5 * (1 + erf(1.5 / 2 / sqrt(2))))
    assert said == 1
    assert held >= 0.91


def test_precision_and_recall_have_a_covered_area_for_one_positive_in_a_thousand():
    """The truth is the mean precision over the scores of positives, by their distribution."""

    def draw(rng, size=60_000):
        positive = (rng.random(size) < 1e-3).astype(float)
        return rng.normal(size=size) + 2.5 * positive, positive

    at = np.linspace(-4, 9, 4001)
    true, false = (np.array([erf(one) for one in (m - at) / sqrt(2)]) / 2 + 0.5 for m in (2.5, 0))
    truth = float((1e-3 * true / (1e-3 * true + 0.999 * false) * -np.gradient(true)).sum())
    found = [average_precision(*one) for one in draws(draw, seed=17, runs=150)]
    held, said = coverage(found, truth)
    assert said == 1
    assert held >= 0.9  # 0.95 less three standard errors of 150 runs


def test_areas_of_few_positives_have_no_interval():
    positive = np.zeros(1000)
    positive[:10] = 1
    scores = np.random.default_rng(5).random(1000)
    assert roc_auc(scores, positive).low is None
    assert average_precision(scores, positive).low is None
    assert roc_auc(scores, np.zeros(1000)) is None
    assert average_precision(scores, np.zeros(1000)) is None


def test_f1_is_that_of_scikit_learn_and_covered():
    rng = np.random.default_rng(6)
    actual = (rng.random(300) < 0.2).astype(float)
    given = np.where(rng.random(300) < 0.9, actual, 1 - actual)
    found = f1(actual * given, given, actual)
    assert found.value == pytest.approx(metrics.f1_score(actual, given))
    assert found.low < found.value < found.high


@pytest.mark.parametrize("number", [410, 1300])
def test_excesses_of_one_size_have_a_shape(number):
    """A point of the grid is then exactly 0, where the likelihood cannot be computed."""
    shape, scale = fit_pareto(np.ones(number))
    assert np.isfinite([shape, scale]).all()
    assert shape < 0
