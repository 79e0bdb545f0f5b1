"""The table of ``docs/batching.md``: `python tests/simulation/compare.py` prints it."""

from __future__ import annotations

import pytest
from compare import OURS, RIVALS, peak, simulate
from simulator import bursty, poisson


@pytest.mark.parametrize("model", ["bigmlp", "cnn"])
@pytest.mark.parametrize("arrivals", [poisson, bursty])
@pytest.mark.parametrize("load", [1.3, 2.0, 3.0])
def test_overload_leaves_at_least_90_percent_goodput(model, arrivals, load):
    outcome = simulate(OURS, model, load, arrivals)
    assert outcome.goodput >= 0.9 * peak(model)
    assert outcome.in_time == len(outcome.latencies), "late answers are wasted work"


@pytest.mark.parametrize("rival", RIVALS)
def test_no_other_rule_keeps_its_goodput_for_a_model_that_needs_batches(rival):
    outcome = simulate(rival, "bigmlp", 1.3, poisson)
    assert outcome.goodput < 0.35 * peak("bigmlp")


@pytest.mark.parametrize("model", ["bigmlp", "cnn"])
@pytest.mark.parametrize("load", [0.1, 0.7, 0.95])
def test_below_capacity_everybody_is_in_time_and_nobody_is_slower_than_with_greedy(model, load):
    ours = simulate(OURS, model, load, poisson)
    greedy = simulate("greedy", model, load, poisson)
    assert ours.attainment == 1.0
    assert ours.mean_latency <= 1.02 * greedy.mean_latency
    assert ours.quantile(0.99) <= 1.05 * greedy.quantile(0.99)


def test_waiting_costs_the_timeout_rules_a_multiple_of_the_latency_at_low_load():
    ours = simulate(OURS, "bigmlp", 0.1, poisson)
    assert simulate("timeout 5 ms", "bigmlp", 0.1, poisson).mean_latency > 4 * ours.mean_latency
    assert (
        simulate("deferred (Symphony)", "bigmlp", 0.1, poisson).mean_latency
        > 10 * ours.mean_latency
    )
