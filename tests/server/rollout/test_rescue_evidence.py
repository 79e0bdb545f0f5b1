"""Evidence from requests that both versions have tried, against sums over what may happen."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.server.rollout.rescue_evidence import (
    GRID,
    STABLE_FAILS,
    nearest_null,
    rescue_evidence,
    unit_evidence,
)
from penstock.server.rollout.worst_units import UnitCounts, UnitTable


@pytest.mark.parametrize("tolerated", [1.0, 1.2, 1.5])
def test_no_bet_can_be_expected_to_win_under_any_allowed_probabilities(tolerated):
    for failure in GRID:
        bet = np.array([1 - failure, failure * (1 - STABLE_FAILS), failure * STABLE_FAILS])
        factor = bet / np.array(nearest_null(tuple(bet), tolerated))
        for p in np.linspace(0.0, 1.0, 201):
            for s in np.linspace(p / tolerated, 1.0, 21) if p <= tolerated else ():
                chances = np.array([1 - p, p * (1 - s), p * s])
                assert chances @ factor <= 1.0 + 1e-9


def test_a_healthy_unit_with_outages_seldom_wins():
    """Ville's bound, with probabilities that jump about: 2,000 units of 400 requests."""
    random = np.random.default_rng(1)
    p = np.where(random.random(400) < 0.2, 0.6, 0.01)
    fails = random.random((2000, 400)) < 1.5 * p
    stable = random.random((2000, 400)) < p
    counts = np.stack([(~fails), fails & ~stable, fails & stable], axis=2).cumsum(axis=1)
    over = sum(
        any(rescue_evidence(*map(int, one), 1.5) >= 20 for one in run[::20]) for run in counts
    )
    assert over / 2000 <= 0.05


def test_a_unit_that_fails_alone_is_known_after_a_few_requests():
    assert rescue_evidence(0, 10, 0, 1.5) > 1000
    assert rescue_evidence(0, 0, 10, 1.5) < 1
    assert rescue_evidence(0, 10, 10, 1.5) < 1
    assert rescue_evidence(0, 0, 0, 1.5) == 1.0


def test_a_share_of_failures_is_known_in_time():
    assert rescue_evidence(4500, 500, 0, 1.5) > 1000
    assert rescue_evidence(9500, 500, 0, 1.5) > 1000
    assert rescue_evidence(9500, 450, 50, 1.5) < rescue_evidence(9500, 500, 0, 1.5)


def test_all_units_together_are_one_bet():
    nothing = unit_evidence(UnitTable(), (0, 0, 0), 1.5)
    assert nothing == pytest.approx(1.0)
    calm = tuple(UnitCounts(key) for key in range(1, 4))
    assert unit_evidence(UnitTable(3, calm), (0, 0, 0), 1.5) == pytest.approx(
        0.5 + 0.5 * (3 / 12 + 1 / 4)
    )
    bad = UnitTable(4, (*calm, UnitCounts(9, rescued=15)))
    assert unit_evidence(bad, (1000, 15, 0), 1.5) > 1000


def test_untried_failures_count_unless_stable_fails_at_the_unit_too():
    unit = (UnitCounts(9, untried=15),)
    assert unit_evidence(UnitTable(1, unit), (0, 0, 0), 1.5) > 1000
    assert unit_evidence(UnitTable(1, unit, (9,)), (0, 0, 0), 1.5) <= 1.0
