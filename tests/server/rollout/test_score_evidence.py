from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.server.rollout.score_evidence import ScoreBins, score_evidence, share_evidence

figures = st.integers(0, 10_000)


def test_it_is_a_fair_bet_where_both_score_alike():
    """Over all ways in which the predictions of three bins in two steps can fall."""
    counts, shares = ((3, 2, 1), (2, 2, 2)), (0.1, 0.5)
    total = known = 0.0
    ranges = [range(n + 1) for step in counts for n in step]
    for falls in product(*ranges):
        chance, steps, rest = 1.0, [], list(falls)
        for share, sizes in zip(shares, counts, strict=True):
            taken, rest = rest[: len(sizes)], rest[len(sizes) :]
            for x, n in zip(taken, sizes, strict=True):
                chance *= math.comb(n, x) * share**x * (1 - share) ** (n - x)
            bins = tuple((n - x, x) for x, n in zip(taken, sizes, strict=True))
            steps.append(ScoreBins(share, bins))
        total += chance * score_evidence(steps)
        known += chance * share_evidence(steps)
    assert known == pytest.approx(1.0)  # with the shares as they are
    assert total <= 1.0  # with those that fit best


def test_a_canary_that_is_sampled_less_is_no_change_of_scores():
    bins = tuple((900, 20) for _ in range(10))
    assert score_evidence([ScoreBins(0.1, bins)]) < 1.0
    assert share_evidence([ScoreBins(0.1, bins)]) > 1e6


def test_a_shift_of_half_a_standard_deviation_is_found_and_none_is_not():
    random = np.random.default_rng(3)
    edges = np.quantile(random.normal(size=100_000), np.arange(0.1, 1.0, 0.1))

    def crossed(shift):
        stable = np.bincount(np.searchsorted(edges, random.normal(size=3600)), minlength=10)
        scores = random.normal(shift, size=400)
        canary = np.bincount(np.searchsorted(edges, scores), minlength=10)
        bins = tuple(zip(stable.tolist(), canary.tolist(), strict=True))
        return score_evidence([ScoreBins(0.1, bins)]) >= 20

    assert np.mean([crossed(0.0) for _ in range(200)]) <= 0.05
    assert np.mean([crossed(0.5) for _ in range(50)]) >= 0.95


@given(st.lists(st.tuples(figures, figures), max_size=10), st.floats(0.01, 0.99))
def test_it_is_a_number_that_does_not_mind_the_order(bins, share):
    value = score_evidence([ScoreBins(share, tuple(bins))])
    assert 0.0 <= value < math.inf
    assert score_evidence([ScoreBins(share, tuple(reversed(bins)))]) == pytest.approx(value)


def test_nothing_scored_is_no_evidence():
    assert score_evidence([]) == 1.0
    assert score_evidence([ScoreBins(0.1, ((0, 0),) * 10)]) == pytest.approx(1.0)
    assert score_evidence([ScoreBins(1.0, ((0, 9),) * 10)]) == 1.0
