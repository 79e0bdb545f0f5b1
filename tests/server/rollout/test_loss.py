from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.server.rollout.loss import GRID, LossBets
from penstock.server.rollout.record import decode, encode

losses = st.floats(-1e6, 1e6)


def after(bets, differences):
    for difference in differences:
        bets = bets.after(0.0, difference)
    return bets


@pytest.mark.parametrize("margin", [0.0, 0.1])
def test_the_bet_is_fair_at_the_margin_over_all_ways_it_can_go(margin):
    """Differences of -1, 0.3 and 1 whose mean is the margin: six pairs, each in three ways."""
    values = (-1.0, 0.3, 1.0)
    middle = 0.2
    # p(-1) + p(1) = 0.8 and the mean is the margin.
    high = (margin - middle * 0.3 + 0.8) / 2
    chances = (0.8 - high, middle, high)
    assert sum(c * v for c, v in zip(chances, values, strict=True)) == pytest.approx(margin)
    total = 0.0
    for falls in product(range(3), repeat=6):
        chance = np.prod([chances[i] for i in falls])
        total += chance * after(LossBets(1.0, margin), [values[i] for i in falls]).e_value
    assert total == pytest.approx(1.0)


def test_a_better_candidate_loses_the_bet():
    assert after(LossBets(1.0), [-0.1] * 100).e_value < 1.0


def test_harm_is_found():
    random = np.random.default_rng(1)
    bets = after(LossBets(1.0), random.normal(0.1, 0.3, 400))
    assert bets.e_value > 20
    assert bets.pairs == 400


def test_noise_without_harm_is_seldom_taken_for_harm():
    random = np.random.default_rng(2)
    wealth = np.zeros((1000, len(GRID)))
    most = np.zeros(1000)
    for _ in range(400):
        delta = np.clip(random.normal(0.0, 0.3, 1000), -1, 1)
        wealth += np.log1p(np.outer(delta, GRID))
        most = np.maximum(most, np.exp(wealth).mean(axis=1))
    assert (most >= 20).mean() <= 0.05


@given(st.lists(losses, max_size=20), st.floats(0.001, 1e3), st.floats(0.0, 2.0))
def test_wealth_is_never_lost_for_good(differences, scale, margin):
    assert after(LossBets(scale, margin), differences).e_value > 0.0


@given(st.lists(losses, max_size=5))
def test_bets_come_back_from_disk(differences):
    bets = after(LossBets(2.0, 0.1), differences)
    assert decode(LossBets, encode(bets)) == bets


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nothing_is_bet_on_what_is_no_number(bad):
    with pytest.raises(ValueError, match="expected numbers"):
        LossBets(1.0).after(0.0, bad)
