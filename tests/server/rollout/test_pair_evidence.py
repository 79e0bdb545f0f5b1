from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.server.rollout.pair_evidence import (
    agreement_evidence,
    disagreement_evidence,
)

N = 40
figures = st.integers(0, 10_000)


def expectation(value, trials, p):
    return math.fsum(
        math.comb(trials, x) * p**x * (1 - p) ** (trials - x) * value(x) for x in range(trials + 1)
    )


def test_disagreement_is_a_fair_bet_at_the_tolerated_rate_and_a_bad_one_below():
    def value(x):
        return disagreement_evidence(N, x, 0.02)

    assert expectation(value, N, 0.02) == pytest.approx(1.0)
    assert expectation(value, N, 0.019) < 1.0
    assert expectation(value, N, 0.0) < 1.0
    assert expectation(value, N, 0.1) > 10.0


def test_agreement_is_a_fair_bet_at_the_tolerated_rate_and_a_bad_one_above():
    def value(x):
        return agreement_evidence(N, x, 0.02)

    assert expectation(value, N, 0.02) == pytest.approx(1.0)
    assert expectation(value, N, 0.021) < 1.0
    assert expectation(value, N, 0.5) < 1.0
    assert agreement_evidence(2000, 2, 0.02) > 1e6


@given(figures, figures)
def test_the_two_sides_of_pairs_do_not_both_hold(disagreements, agreements):
    """Not both can be strong: they bet on opposite sides of the same rate."""
    pairs = disagreements + agreements
    against = disagreement_evidence(pairs, disagreements, 0.02)
    agreeing = agreement_evidence(pairs, disagreements, 0.02)
    assert min(against, agreeing) <= 1.0


@given(figures, figures)
def test_more_disagreement_is_more_evidence(disagreements, agreements):
    pairs = disagreements + agreements
    now = disagreement_evidence(pairs, disagreements, 0.02)
    assert disagreement_evidence(pairs + 1, disagreements + 1, 0.02) >= now
    assert disagreement_evidence(pairs + 1, disagreements, 0.02) <= now


def test_nothing_compared_is_no_evidence():
    assert disagreement_evidence(0, 0, 0.02) == 1.0
    assert agreement_evidence(0, 0, 0.02) == 1.0


def test_a_large_tolerance_leaves_only_rates_below_one():
    assert disagreement_evidence(100, 100, 0.5) > 1e6
    assert disagreement_evidence(100, 100, 0.001) > 1e6


def test_how_many_pairs_it_takes():
    """Without any disagreement a shadow is through after about 200 requests."""
    enough = next(n for n in range(1, 1000) if agreement_evidence(n, 0, 0.02) >= 20)
    assert enough == 184
    assert next(n for n in range(1, 100) if disagreement_evidence(n, n, 0.02) >= 20) == 2
