from __future__ import annotations

import math

import numpy as np
import pytest
from compare import MODELS, peak
from simulator import Simulation, linear, poisson, tensors

from penstock.batching.errors import Overloaded
from penstock.batching.options import BatchingOptions
from penstock.batching.request import InferenceRequest

SLO = BatchingOptions(max_batch_size=32, slo_seconds=0.020)


def overload(load, number=12_000, model="bigmlp", options=SLO, **truth):
    simulation = Simulation()
    scheduled = simulation.add(model, MODELS[model], options, **truth)
    simulation.arrive(scheduled, poisson(load * peak(model), number))
    simulation.run()
    return simulation.outcome(scheduled), scheduled


@pytest.mark.parametrize("load", [1.3, 2.5])
@pytest.mark.parametrize("believed", [0.5, 0.8, 1.25, 3.0, None])
def test_wrong_calibration_is_corrected_by_the_first_runs(load, believed):
    outcome, scheduled = overload(load, believed=believed)
    assert outcome.goodput >= 0.9 * peak("bigmlp")
    assert outcome.in_time >= 0.995 * len(outcome.latencies)
    assert scheduled.costs.seconds[32] == pytest.approx(MODELS["bigmlp"](32), rel=0.15)


@pytest.mark.parametrize("load", [1.3, 2.5])
@pytest.mark.parametrize("model", ["bigmlp", "cnn"])
def test_noisy_runs_cost_no_more_than_their_margin(load, model):
    outcome, _ = overload(load, model=model, noise=0.25)
    slower = 1 + 0.25 * math.sqrt(2 / math.pi)  # the mean of the noise
    assert outcome.goodput >= 0.9 * peak(model) / slower
    assert outcome.in_time >= 0.98 * len(outcome.latencies)


def test_contention_between_threads_is_learned_as_longer_runs():
    outcome, _ = overload(1.3, contention=0.5)
    assert outcome.goodput >= 0.9 * peak("bigmlp") / 1.5
    assert outcome.in_time >= 0.995 * len(outcome.latencies)


def test_a_machine_that_slows_down_to_a_third_sheds_instead_of_answering_late():
    simulation = Simulation()
    started = 0.5
    slow = MODELS["bigmlp"]

    def seconds(rows):
        return slow(rows) * (3 if simulation.loop.now > started else 1)

    scheduled = simulation.add("m", slow, SLO)
    simulation.models["m/1"].seconds = seconds
    simulation.arrive(scheduled, poisson(0.8 * peak("bigmlp"), 30_000))
    simulation.run()
    outcome = simulation.outcome(scheduled)
    settled = [
        latency
        for latency, end in zip(outcome.latencies, outcome.completions, strict=True)
        if end > started + 0.3
    ]
    assert np.mean(np.array(settled) <= 0.020) > 0.99
    assert len(settled) / (outcome.last - started - 0.3) >= 0.9 * peak("bigmlp") / 3


def test_after_a_burst_everybody_is_in_time_again_within_two_seconds():
    capacity = peak("bigmlp")
    calm = poisson(0.7 * capacity, int(0.7 * capacity * 3))
    burst = 1.0 + poisson(3 * capacity, int(2.3 * capacity), seed=7)
    simulation = Simulation()
    scheduled = simulation.add("m", MODELS["bigmlp"], SLO)
    refused_at = []
    simulation.arrive(scheduled, np.sort(np.concatenate([calm, burst])))
    answer = simulation.answer

    def note(outcome, batch):
        if batch.error is not None:
            refused_at.append(simulation.loop.now)
        answer(outcome, batch)

    simulation.answer = note
    simulation.run()
    assert max(refused_at) < burst[-1] + 0.1


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("bigmlp", linear(651e-6, 84e-6)),
        ("gradient boosted trees", linear(3.2e-6, 1.1e-6)),
        ("cnn", linear(10e-6, 94e-6)),
        ("flat", linear(3e-6, 0.006e-6)),
        ("superlinear", lambda rows: 100e-6 * rows**1.3),
        ("cliff", lambda rows: 1e-3 + 20e-6 * rows + (5e-3 if rows > 24 else 0)),
    ],
)
def test_without_configuration_saturation_reaches_the_models_own_batching_gain(
    name, seconds, inline
):
    """At least 85 % of the best rows per second that any batch size gives, without being told."""
    threads = 1
    simulation = Simulation(threads, inline_seconds=math.inf if inline else 0.0)
    scheduled = simulation.add(name, seconds, BatchingOptions())
    best = max(rows / seconds(rows) for rows in range(1, 65))
    simulation.arrive(scheduled, poisson(1.5 * best, 10_000))
    simulation.run()
    assert simulation.outcome(scheduled).throughput >= 0.85 * best
    assert simulation.outcome(scheduled).throughput >= 0.98 / seconds(1)


def test_without_an_slo_the_predicted_wait_is_bounded():
    options = BatchingOptions(max_queue_seconds=0.1, max_queue_rows=100_000)
    outcome, _ = overload(3.0, 40_000, options=options)
    assert set(outcome.refusals) == {"queue_time"}
    assert 0.08 < outcome.quantile(0.9) < 0.125


def test_retry_after_is_when_the_backlog_will_be_gone():
    simulation = Simulation()
    scheduled = simulation.add("m", linear(0.0, 0.01), BatchingOptions(max_queue_seconds=0.5))
    simulation.arrive(scheduled, np.zeros(200))
    refusals = []
    simulation.run(until=0.05)
    for _ in range(400):
        try:
            simulation.scheduler.submit(scheduled, InferenceRequest(tensors(1), 1, (), 0.05))
        except Overloaded as error:
            refusals.append(error.retry_after_seconds)
    assert refusals
    started = simulation.loop.now
    simulation.run()
    assert refusals[0] == pytest.approx(simulation.loop.now - started, rel=0.4)


def test_a_short_burst_is_shared_out_to_free_threads_when_that_is_sooner():
    """16 requests at once on two idle threads: two runs of 8, not one of 16."""
    simulation = Simulation(2)
    scheduled = simulation.add("cnn", MODELS["cnn"], BatchingOptions())
    simulation.arrive(scheduled, np.zeros(16))
    simulation.run()
    assert simulation.outcome(scheduled).batches == [8, 8]


def test_a_flat_model_is_not_shared_out():
    simulation = Simulation(2)
    scheduled = simulation.add("flat", linear(2e-3, 1e-6), BatchingOptions())
    simulation.arrive(scheduled, np.zeros(16))
    simulation.run()
    assert simulation.outcome(scheduled).batches == [16]


def test_a_backlog_of_inline_work_never_holds_the_loop_for_much_more_than_its_budget():
    simulation = Simulation(1)
    longest = 0.0
    scheduled = simulation.add("tiny", linear(3e-6, 1e-6), BatchingOptions())
    dispatch = simulation.scheduler._dispatcher._dispatch

    def timed():
        nonlocal longest
        before = simulation.loop.now
        dispatch()
        longest = max(longest, simulation.loop.now - before)

    simulation.scheduler._dispatcher._dispatch = timed
    simulation.threads.start = None  # everything fits the loop: a thread must not be needed
    simulation.scheduler._state.free = 0
    simulation.arrive(scheduled, np.zeros(4000))
    simulation.run()
    assert len(simulation.outcome(scheduled).latencies) == 4000
    assert 300e-6 < longest < 600e-6


def test_an_impossible_slo_is_refused_and_shown():
    outcome, _ = overload(0.3, 2000, options=BatchingOptions(max_batch_size=32, slo_seconds=0.0005))
    assert not outcome.latencies
    assert outcome.refusals["DeadlineExceeded"] > 0
