"""Intervals cover the truth on data that is not ideal: heavy tails, rare classes, users, ties."""

from __future__ import annotations

from math import erf, exp, lgamma, pi, sqrt

import numpy as np
import pytest
from sklearn import metrics

from penstock.monitoring.feedback.intervals import (
    FEWEST_LOSSES,
    FEWEST_SQUARES,
    LARGER,
    f1,
    mean,
    root_mean_square,
    share,
    wilson,
)
from penstock.monitoring.feedback.performance import Labelled, figures_of
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


def rare_and_large(chance, times, limit=np.inf):
    """Draws errors of which few are many times larger than the others, and their mean size."""

    def draw(rng, size=500):
        errors = np.where(rng.random(size) < chance, times, 1.0) * rng.normal(size=size)
        return np.clip(errors, -limit, limit)

    return draw, sqrt(2 / pi) * (1 + chance * (times - 1))


@pytest.mark.parametrize(("chance", "times"), [(0.002, 50), (0.001, 100), (0.005, 20), (0.01, 5)])
def test_means_allow_for_rare_errors_that_have_not_come_yet(chance, times):
    """Of 500 rows more than a third of the samples have none of those that come once in 500."""
    draw, truth = rare_and_large(chance, times)
    held, said = coverage([mean(np.abs(one)) for one in draws(draw, seed=21, runs=400)], truth)
    assert said > 0.2
    assert held >= 0.93


@pytest.mark.parametrize("size", [500, 1000])
def test_intervals_of_tails_of_infinite_variance_hold_where_they_are_stated(size):
    """Few are: those of samples whose tail looks light by chance."""
    kinds = [
        (mean, lambda rng: rng.pareto(1.5, size) + 1, 3.0),
        (mean, lambda rng: rng.standard_t(2.5, size) ** 2, 5.0),
        (mean, lambda rng: rng.standard_t(3, size) ** 2, 3.0),
        (root_mean_square, lambda rng: rng.standard_t(3, size), sqrt(3)),
        (mean, lambda rng: rng.pareto(1.8, size) + 1, 2.25),
    ]
    stated = []
    for figure, draw, truth in kinds:
        found = [figure(one) for one in draws(draw, seed=22, runs=300)]
        stated += [one.low <= truth <= one.high for one in found if one.low is not None]
    assert len(stated) > 50
    assert np.mean(stated) >= 0.93


def test_a_mean_stays_in_its_interval_with_three_rows_as_large_as_it_says():
    values = np.random.default_rng(23).exponential(1, 2000)
    found = mean(values)
    assert found.up_to == pytest.approx(LARGER * values.max())
    values[:3] = found.up_to
    assert found.low <= values.mean() <= found.high
    errors = np.random.default_rng(24).normal(size=2000)
    found = mean(errors, signed=True)
    errors[:3] = -found.up_to
    assert found.low <= errors.mean() <= found.high


def test_a_declared_largest_error_narrows_the_interval_and_makes_it_hold():
    draw, truth = rare_and_large(0.002, 50, limit=40.0)
    known = np.random.default_rng(25).normal(size=2_000_000)
    truth = sqrt(np.mean(0.998 * known**2 + 0.002 * np.minimum(50 * np.abs(known), 40) ** 2))
    samples = draws(draw, seed=26, runs=300)
    held, said = coverage([root_mean_square(one, largest=40.0) for one in samples], truth)
    assert said > 0.2
    assert held >= 0.93
    even = np.random.default_rng(27).normal(size=FEWEST_SQUARES)
    declared, open_ = root_mean_square(even, largest=5.0), root_mean_square(even)
    assert declared.up_to == 5.0
    assert declared.high < 1.15 < open_.high
    assert root_mean_square(even, largest=0.1).up_to == np.abs(even).max()


def test_few_errors_have_no_interval_of_their_root_mean_square():
    errors = np.random.default_rng(28).normal(size=FEWEST_SQUARES)
    assert root_mean_square(errors).low is not None
    assert root_mean_square(errors[1:]).low is None
    assert root_mean_square(errors[1:], largest=10.0).low is not None


@pytest.mark.parametrize(("rare", "sure"), [(0.003, 1.6), (0.02, 3.2), (0.3, 0.8)])
def test_losses_of_several_classes_are_covered(rare, sure):
    """Probabilities of four classes, one of them rare, by a model that is too sure of itself."""
    shares = np.array([(1 - rare) / 3] * 3 + [rare])

    def draw(rng, size=500):
        truth = rng.choice(4, size, p=shares)
        logits = 1.2 * rng.normal(size=(size, 4)) + np.log(shares)
        logits[np.arange(size), truth] += sure
        scores = np.exp(1.3 * logits)
        return truth, scores / scores.sum(axis=1, keepdims=True)

    def labelled(truth, scores):
        mine, none = scores[np.arange(len(truth)), truth], np.full(len(truth), np.nan)
        best = scores.argmax(axis=1)
        right = (best == truth).astype(float)
        brier = (scores**2).sum(axis=1) - 2 * mine + 1
        classes = "classification", truth.tolist(), best.tolist()
        return Labelled(*classes, right, 1 - right, scores.max(axis=1), mine, brier, *[none] * 3)

    everything = figures_of(labelled(*draw(np.random.default_rng(29), 400_000)))
    found = [figures_of(labelled(*draw(np.random.default_rng([30, run])))) for run in range(200)]
    for name in ("log_loss", "brier"):
        held, said = coverage([one[name] for one in found], everything[name].value)
        assert said > 0.5
        assert held >= 0.93
        assert all(one[name].up_to is None for one in found)


@pytest.mark.parametrize("sure", [1.0, 3.0])
def test_the_log_loss_of_one_positive_in_a_thousand_is_covered_or_has_no_interval(sure):
    """Here no sample of up to 300,000 rows has one: its few large losses look like a heavy tail."""

    def draw(rng, size=20_000):
        positive = (rng.random(size) < 0.001).astype(float)
        logits = np.log(0.001 / 0.999) + rng.normal(size=size) + sure * positive
        return positive, 1 / (1 + np.exp(-logits))

    def labelled(positive, score):
        mine, said = np.where(positive > 0, score, 1 - score), (score >= 0.5).astype(float)
        right = (said == positive).astype(float)
        classes = "classification", positive.tolist(), said.tolist(), right, 1 - right
        of_scores = np.maximum(score, 1 - score), mine, 2 * (1 - mine) ** 2, score, positive
        return Labelled(*classes, *of_scores, np.zeros(len(score)))

    positive, score = draw(np.random.default_rng(33), 1_000_000)
    truth = -np.log(np.where(positive > 0, score, 1 - score)).mean()
    found = [figures_of(labelled(*draw(np.random.default_rng([34, run])))) for run in range(60)]
    losses = [one["log_loss"] for one in found]
    assert np.mean([one.value for one in losses]) == pytest.approx(truth, rel=0.1)
    held, said = coverage(losses, truth)
    assert said == 0.0 or held >= 0.93


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
    assert found.up_to == 2.0
    assert root_mean_square(np.full(FEWEST_LOSSES, -2.0)) == found


@pytest.mark.parametrize("figure", [mean, root_mean_square])
def test_equal_losses_allow_for_declared_errors_that_have_not_come_yet(figure):
    """Errors of 10 in one row of 500, else none: in more than a third of the samples none."""
    samples = draws(lambda rng: 10.0 * (rng.random(FEWEST_LOSSES) < 0.002), seed=33, runs=300)
    without = [one for one in samples if not one.any()]
    assert len(without) > 100
    truth = {mean: 0.02, root_mean_square: sqrt(0.2)}[figure]
    for one in without:
        found = figure(one, largest=10.0)
        assert found.low == 0 < truth <= found.high
        assert found.up_to == 10.0


@pytest.mark.parametrize(
    ("trials", "rate"),
    [(20, 0.05), (50, 0.01), (100, 0.02), (100, 0.5), (1000, 0.001), (1000, 0.002), (200, 0.99)],
)
def test_shares_of_rare_classes_are_covered(trials, rate):
    hits = np.random.default_rng(2).binomial(trials, rate, 4000)
    held, said = coverage([wilson(float(one), float(trials)) for one in hits], rate)
    assert said == 1
    assert held >= 0.93


@pytest.mark.parametrize("trials", [5, 10, 20, 50, 200, 500])
def test_intervals_of_any_share_hold(trials):
    """By sums over all outcomes: no share is at the bottom of a wave of coverage."""
    shares = np.concatenate([np.geomspace(1e-4, 0.5, 1500), 1 - np.geomspace(1e-4, 0.5, 1500)])
    hits = np.arange(trials + 1)
    ways = np.array([lgamma(trials + 1) - lgamma(k + 1) - lgamma(trials - k + 1) for k in hits])
    chances = np.exp(
        ways + np.outer(np.log(shares), hits) + np.outer(np.log1p(-shares), trials - hits)
    )
    found = [wilson(float(one), float(trials)) for one in hits]
    low, high = (np.array([getattr(one, end) for one in found]) for end in ("low", "high"))
    held = (low <= shares[:, None]) & (shares[:, None] <= high)
    assert (chances * held).sum(axis=1).min() >= 0.935


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


@pytest.mark.parametrize("rate", [0.9, 0.99])
@pytest.mark.parametrize("alike", [0.01, 0.3, 1.0])
@pytest.mark.parametrize("sizes", ["from 1 to 100", "few heavy"])
def test_shares_are_covered_where_few_unequal_users_have_an_error(rate, alike, sizes):
    """With `alike` 0.01 users are all right or all wrong. Few of 120 users have an error."""
    rng = np.random.default_rng(31)
    rows = {
        "from 1 to 100": rng.integers(1, 101, 120),
        "few heavy": np.exp(rng.uniform(0, np.log(100), 120)).astype(int) + 1,
    }[sizes]
    units = np.repeat(np.arange(len(rows)), rows)

    def draw(rng):
        own = rng.beta(rate * alike, (1 - rate) * alike, len(rows))
        return (rng.random(len(units)) < own[units]).astype(float)

    found = [share(one, np.ones(len(one)), units) for one in draws(draw, seed=32, runs=300)]
    held, said = coverage(found, rate)
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


@pytest.mark.parametrize(("size", "found", "false"), [(5000, 0.8, 2e-4), (20_000, 0.2, 1e-3)])
def test_f1_is_covered_for_one_positive_in_a_thousand(size, found, false):
    rates = np.array([1e-3 * found, 1e-3 * (1 - found), 0.999 * false])
    truth = 2 * rates[0] / (rates[0] + rates.sum())
    counts = np.random.default_rng(33).multinomial(size, [*rates, 1 - rates.sum()], 1500)[:, :3]
    given = np.array([[1, 0, 1], [1, 1, 0]], float)  # predicted, actual
    each = [[np.repeat(kind, one) for kind in given] for one in counts if one.sum()]
    held, said = coverage([f1(told * true, told, true) for told, true in each], truth)
    assert said == 1
    assert held >= 0.93


@pytest.mark.parametrize("number", [410, 1300])
def test_excesses_of_one_size_have_a_shape(number):
    """A point of the grid is then exactly 0, where the likelihood cannot be computed."""
    shape, scale = fit_pareto(np.ones(number))
    assert np.isfinite([shape, scale]).all()
    assert shape < 0
