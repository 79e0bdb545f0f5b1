"""Ramps under traffic of tenants, retries and constant ids; the figures are in docs/trust.md.

``pytest tests/simulation/test_units.py -s`` prints the measured rates with 95 % intervals.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_rollouts import quantiles, said
from unit_traffic import TERMS, Units, run

from penstock.server.rollout.phase import Phase
from penstock.server.rollout.unit_memory import FirstFailures

TENANTS = 200
RAMP = replace(TERMS, steps=(5.0, 25.0, 50.0, 100.0), watch_seconds=40.0)
SECONDS = 250.0


def shares(heavy):
    """One unit with this share of the traffic, the others alike."""
    return np.r_[heavy, np.full(TENANTS - 1, (1.0 - heavy) / (TENANTS - 1))]


def failing(first, others=0.005):
    return np.r_[first, np.full(TENANTS - 1, others)]


DOWN = Units(shares(0.05), failing(0.005), canary=failing(1.0))


def test_the_outage_of_one_tenant_is_aborted_in_every_ramp():
    """The tenant has 5 % of the traffic; where it never meets the ramp, it meets the watch."""
    ramps = [run(number, DOWN, SECONDS, RAMP) for number in range(100)]
    aborted = sum(one.aborted for one in ramps)
    said("tenant down, aborted", aborted, 100)
    assert aborted >= 99
    median, most = quantiles("failed requests of the tenant", [one.failed[0] for one in ramps])
    assert median <= 20
    assert most <= 25


def test_the_outage_of_one_tenant_is_aborted_without_fallback_too():
    terms = replace(RAMP, fallback=False)
    ramps = [run(number, DOWN, SECONDS, terms, seed=2) for number in range(40)]
    assert sum(one.aborted for one in ramps) >= 39
    assert quantiles("without fallback", [one.failed.get(0, 0) for one in ramps])[0] <= 20


def test_a_segment_of_many_users_that_fails_is_aborted():
    """5 % of the users fail with the candidate, none of them often."""
    users, bad = np.full(2000, 1 / 2000), np.full(2000, 0.005)
    broken = np.where(np.arange(2000) < 100, 1.0, 0.005)
    traffic = Units(users, bad, canary=broken)
    ramps = [run(number, traffic, SECONDS, RAMP, seed=3) for number in range(30)]
    assert all(one.aborted for one in ramps)


def test_healthy_candidates_with_tenants_are_not_rolled_back():
    healthy = Units(shares(0.05), failing(0.005))
    ramps = [run(number, healthy, SECONDS, RAMP, seed=4) for number in range(120)]
    assert said("healthy with tenants, aborted", sum(one.aborted for one in ramps), 120) <= 0.05
    assert sum(one.aborted for one in ramps) <= 1
    assert sum(one.rollout.phase is Phase.PROMOTED for one in ramps) >= 115


#: Requests whose failure is the request's own, in both versions.
ORDINARY = {
    "a tenth of all requests have one id, and fail": Units(
        shares(0.1), failing(1.0), shared=True, rate=50.0
    ),
    "what fails is sent ten times more with its id": Units(
        np.ones(1), np.array([0.02]), shared=True, retries=10, by_request=True, rate=50.0
    ),
    "a client without ids has a tenth of all requests, and fails at each": Units(
        shares(0.1), failing(1.0), shared=True, by_request=True, rate=15.0
    ),
    "a tenant is unlucky with every second request": Units(
        shares(0.05), failing(0.5), shared=False, rate=50.0
    ),
}


@pytest.mark.parametrize("what", ORDINARY)
def test_units_that_fail_in_both_versions_do_not_roll_a_healthy_candidate_back(what):
    ramps = [run(number, ORDINARY[what], SECONDS, RAMP, seed=5) for number in range(60)]
    aborted = sum(one.aborted for one in ramps)
    said(what, aborted, 60)
    assert aborted <= 3


def test_without_units_the_same_traffic_would_roll_healthy_candidates_back(monkeypatch):
    """What the units are for: each failure of one id taken as evidence of its own."""
    monkeypatch.setattr(FirstFailures, "is_first", lambda *_, **__: True)
    traffic = ORDINARY["what fails is sent ten times more with its id"]
    ramps = [run(number, traffic, 100.0, RAMP, seed=5) for number in range(30)]
    assert sum(one.aborted for one in ramps) > 3
