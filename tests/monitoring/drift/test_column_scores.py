"""Scores of rows by their ranks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri
from scipy.stats import rankdata

from penstock.monitoring.drift.column_scores import normal_scores

RNG = np.random.default_rng(0)
TIED = RNG.integers(0, 5, 300).astype(float)


@pytest.mark.parametrize(
    "values",
    [
        RNG.standard_normal(200),
        TIED,
        np.where(RNG.random(300) < 0.3, np.nan, TIED),
        np.append(RNG.standard_normal(50), [np.inf, -np.inf, -0.0, 0.0]),
        np.array([1.0, 2.0]),
    ],
    ids=["distinct", "tied", "missing", "infinite", "two"],
)
def test_scores_are_the_standardised_quantiles_of_mean_ranks(values):
    there = np.isfinite(values)
    expected = ndtri((rankdata(values[there]) - 0.5) / there.sum())
    expected = (expected - expected.mean()) / expected.std()
    before = values.copy()
    scores = normal_scores(values)
    assert scores[there] == pytest.approx(expected)
    assert np.isnan(scores[~there]).all()
    assert np.array_equal(values, before, equal_nan=True)


@pytest.mark.parametrize("values", [[], [1.0], [2.0, 2.0], [np.nan, 3.0], [np.nan, np.inf]])
def test_there_is_no_score_where_all_values_are_equal(values):
    assert np.isnan(normal_scores(np.array(values))).all()
