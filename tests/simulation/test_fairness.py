"""Several models on the same threads."""

from __future__ import annotations

import pytest
from simulator import Simulation, linear, poisson

from penstock.batching.options import BatchingOptions
from penstock.batching.scheduled_model import FAIRNESS_WINDOW_SECONDS

HEAVY = linear(2e-3, 1.5e-3)
LIGHT = linear(50e-6, 20e-6)


def pair(heavy_load, light_load, *, threads=2, seconds=2.0, heavy_options=None):
    """A heavy model with an SLO of 200 ms beside a light one with 10 ms; loads in parts of all."""
    simulation = Simulation(threads, inline_seconds=0.0)
    options = heavy_options or BatchingOptions(max_batch_size=16, slo_seconds=0.2)
    heavy = simulation.add("heavy", HEAVY, options)
    light = simulation.add("light", LIGHT, BatchingOptions(max_batch_size=16, slo_seconds=0.01))
    outcomes = []
    for seed, scheduled, load, cost in (
        (1, heavy, heavy_load, HEAVY),
        (2, light, light_load, LIGHT),
    ):
        rate = load * threads * 16 / cost(16)
        if rate:
            simulation.arrive(scheduled, poisson(rate, int(rate * seconds), seed))
        outcomes.append(simulation.outcome(scheduled))
    simulation.run()
    return outcomes


def test_both_keep_their_slo_at_94_percent_load():
    heavy, light = pair(0.47, 0.47)
    assert heavy.attainment > 0.99
    assert light.attainment > 0.99


def test_a_flood_of_short_deadlines_does_not_starve_the_heavy_model():
    heavy, light = pair(0.3, 2.0, seconds=1.0)
    assert heavy.attainment > 0.99
    assert light.goodput > 0.6 * 2 * 16 / LIGHT(16)


@pytest.mark.parametrize("threads", [2, 4])
def test_a_flood_of_long_runs_does_not_cost_the_light_model_its_slo(threads):
    heavy, light = pair(2.0, 0.2, threads=threads)
    assert light.attainment > 0.99
    assert heavy.goodput > 0.65 * threads * 16 / HEAVY(16)


def test_versions_of_one_model_share_one_share():
    """A canary does not double its model's share."""
    simulation = Simulation(1)
    cost = linear(1e-3, 1e-4)
    options = BatchingOptions(max_queue_seconds=0.5)
    for name, version in (("a", "1"), ("a", "2"), ("b", "1")):
        scheduled = simulation.add(name, cost, options, version=version)
        simulation.arrive(scheduled, poisson(2 * 64 / cost(64), 30_000))
    simulation.run(until=2.0)
    served = {key: len(outcome.latencies) for key, outcome in simulation.outcomes.items()}
    assert served["a/1"] + served["a/2"] == pytest.approx(served["b/1"], rel=0.1)
    assert served["a/1"] == pytest.approx(served["a/2"], rel=0.1)


def test_a_flooded_version_does_not_delay_another_of_its_model():
    simulation = Simulation(1)
    cost = linear(1e-3, 1e-4)
    calm, flooded = (
        simulation.add("m", cost, BatchingOptions(), version=version) for version in ("1", "2")
    )
    rate = 64 / cost(64)
    simulation.arrive(calm, poisson(0.1 * rate, int(0.1 * rate)))
    simulation.arrive(flooded, poisson(2 * rate, int(2 * rate), 2))
    simulation.run(until=1.0)
    assert simulation.outcome(calm).quantile(0.99) < 2 * FAIRNESS_WINDOW_SECONDS
    assert simulation.outcome(flooded).quantile(0.5) > 0.1


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_execution_time_follows_the_weights_within_the_window(threads):
    """I7: neither model gets further ahead than the window and what is being run."""
    simulation = Simulation(threads)
    costs = {"a": linear(1e-3, 1e-4), "b": linear(4e-3, 3e-4)}
    weights = {"a": 1.0, "b": 3.0}
    servables = {}
    for name, cost in costs.items():
        options = BatchingOptions(weight=weights[name], max_queue_rows=500)
        servables[name] = simulation.add(name, cost, options)
        rate = 2 * threads * 64 / cost(64)
        simulation.arrive(servables[name], poisson(rate, int(rate * 0.6)))
    simulation.run(until=0.3)
    outcomes = {name: simulation.outcome(scheduled) for name, scheduled in servables.items()}
    before = {name: outcome.execution_seconds for name, outcome in outcomes.items()}
    spreads = []
    for step in range(40):
        simulation.run(until=0.3 + 0.005 * step)
        times = [scheduled.share.virtual_time for scheduled in servables.values()]
        spreads.append(max(times) - min(times))
    longest = max(cost(64) / weights[name] for name, cost in costs.items())
    assert max(spreads) <= FAIRNESS_WINDOW_SECONDS + threads * longest
    received = {name: one.execution_seconds - before[name] for name, one in outcomes.items()}
    assert received["b"] / received["a"] == pytest.approx(3.0, rel=0.6)


def test_a_model_that_was_idle_has_no_claim_on_the_past():
    simulation = Simulation(1)
    cost = linear(1e-3, 1e-4)
    busy = simulation.add("busy", cost, BatchingOptions())
    late = simulation.add("late", cost, BatchingOptions())
    rate = 1.5 * 64 / cost(64)
    simulation.arrive(busy, poisson(rate, int(rate * 2)))
    simulation.arrive(late, 1.0 + poisson(rate, int(rate)))
    simulation.run(until=1.0)
    before = simulation.outcome(busy).execution_seconds
    simulation.run(until=1.3)
    assert simulation.outcome(busy).execution_seconds - before > 0.1


def test_a_more_urgent_priority_goes_first_among_equals():
    simulation = Simulation(1)
    cost = linear(1e-3, 1e-4)
    for name, priority in (("second", 2), ("first", 1), ("default", 0)):
        scheduled = simulation.add(name, cost, BatchingOptions(priority=priority))
        simulation.arrive(scheduled, [0.0] * 64)
    simulation.run()
    ended = {key: outcome.completions[0] for key, outcome in simulation.outcomes.items()}
    assert ended["second/1"] > max(ended["first/1"], ended["default/1"])


@pytest.mark.parametrize("threads", [2, 4])
@pytest.mark.parametrize("load", [0.1, 0.2, 0.4])
def test_shadow_traffic_hardly_delays_the_foreground(threads, load):
    """I8: the tail moves by 5 % and an arrival when as much traffic is mirrored."""
    cost = linear(1e-3, 1e-4)
    rate = load * threads * 64 / cost(64)
    tails = []
    mirrored = 0
    for background in (False, True):
        simulation = Simulation(threads)
        scheduled = simulation.add("m", cost, BatchingOptions())
        simulation.arrive(scheduled, poisson(rate, int(rate * 2)))
        if background:
            options = BatchingOptions(background=True, weight=0.05, max_queue_rows=256)
            shadow = simulation.add("m", cost, options, version="2")
            simulation.arrive(shadow, poisson(rate, int(rate * 2)))
        simulation.run()
        tails.append(simulation.outcome(scheduled).quantile(0.99))
        if background:
            mirrored = len(simulation.outcome(shadow).latencies)
    assert tails[1] < 1.06 * tails[0]
    assert mirrored > 0.005 * rate * 2


def test_shadow_traffic_loses_its_oldest_requests():
    simulation = Simulation(1)
    options = BatchingOptions(background=True, max_queue_rows=10, max_batch_size=1)
    shadow = simulation.add("m", linear(1.0, 0.0), options)
    kept = []
    simulation.arrive(shadow, [0.0] * 30)
    answer = simulation.answer

    def note(outcome, batch):
        if batch.error is None:
            kept.extend(request.context for request in batch.requests)
        answer(outcome, batch)

    simulation.answer = note
    simulation.run()
    assert kept == list(range(20, 30))
    assert simulation.outcome(shadow).refusals == {"replaced": 20}
