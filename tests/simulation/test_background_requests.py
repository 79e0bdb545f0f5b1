"""Requests of background urgency: they wait for the others of their own model, too."""

from __future__ import annotations

import numpy as np
import pytest
from simulator import Simulation, linear, poisson, tensors

from penstock.batching.background import QUIET_SECONDS
from penstock.batching.errors import Overloaded
from penstock.batching.options import BatchingOptions
from penstock.batching.request import InferenceRequest

#: Rows of one background request, as a batch sends them.
ROWS = 1024


class Batch:
    """Keeps some background requests waiting all the time, as a batch over a file does."""

    def __init__(self, simulation, scheduled, in_flight=2):
        self.simulation, self.scheduled = simulation, scheduled
        self.answered = 0
        answer = simulation.answer

        def note(outcome, batch):
            if batch.requests[0].context is self:
                assert batch.error is None
                self.answered += batch.rows
                self.send()
            else:
                answer(outcome, batch)

        simulation.answer = note
        for _ in range(in_flight):
            self.send()

    def send(self):
        now = self.simulation.loop.now
        request = InferenceRequest(tensors(ROWS), ROWS, (), now, context=self)
        self.simulation.scheduler.submit_background(self.scheduled, request)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("base", "row"), [(1e-3, 1e-4), (5e-6, 1e-6)], ids=["long", "short"])
def test_they_hardly_delay_the_others_of_their_model(threads, base, row):
    cost = linear(base, row)
    rate = 0.2 * threads / cost(1)
    tails, done = [], 0
    for beside in (False, True):
        simulation = Simulation(threads)
        scheduled = simulation.add("m", cost, BatchingOptions())
        simulation.arrive(scheduled, poisson(rate, 4000))
        end = 4000 / rate
        if beside:
            simulation.run(until=0.02 * end)  # there is foreground work already
            batch = Batch(simulation, scheduled)
        simulation.run(until=end)
        tails.append(simulation.outcome(scheduled).quantile(0.99))
        done = batch.answered if beside else 0
    # One row of the model or 0.1 ms, whichever is longer, is all that a request may wait for more.
    assert tails[1] < tails[0] + 1.5 * max(cost(1), 100e-6)
    assert done > 0.02 * end / cost(1), "a batch gets time that nobody else wants"


def test_alone_they_fill_their_runs():
    simulation = Simulation(2)
    scheduled = simulation.add("m", linear(1e-3, 1e-4), BatchingOptions())
    batch = Batch(simulation, scheduled)
    simulation.run(until=1.0)
    runs = simulation.models["m/1"].runs
    assert set(runs) == {64}
    assert batch.answered >= 0.95 * 1.0 / (1e-3 + 64e-4) * 64 - ROWS


def test_a_model_that_was_asked_lately_gets_short_ones():
    simulation = Simulation(1)
    scheduled = simulation.add("m", linear(1e-3, 1e-4), BatchingOptions())
    simulation.arrive(scheduled, [0.0])
    simulation.run(until=0.01)
    simulation.models["m/1"].runs.clear()
    Batch(simulation, scheduled, in_flight=1)
    simulation.run(until=0.5)
    assert max(simulation.models["m/1"].runs) <= 6
    simulation.run(until=QUIET_SECONDS + 3)
    assert simulation.models["m/1"].runs[-1] == 64


@pytest.mark.parametrize("threads", [1, 2])
def test_one_that_waits_gets_short_runs_as_soon_as_the_model_is_asked(threads):
    simulation = Simulation(threads)
    scheduled = simulation.add("m", linear(1e-3, 1e-4), BatchingOptions())
    batch = Batch(simulation, scheduled, in_flight=1)
    simulation.arrive(scheduled, [0.02])
    simulation.run(until=0.03)
    runs = simulation.models["m/1"].runs
    assert set(runs[:3]) == {64}
    before = len(runs)
    simulation.run(until=0.09)
    assert batch.answered == 0, "it is the request that waited before"
    assert max(runs[before:]) <= 6
    simulation.run(until=3.0)
    assert batch.answered >= ROWS


def test_they_take_no_room_in_the_queue_of_the_others():
    simulation = Simulation(1)
    scheduled = simulation.add("m", linear(1e-3, 1e-4), BatchingOptions(max_queue_rows=4))
    Batch(simulation, scheduled, in_flight=1)
    with pytest.raises(Overloaded, match="queue_full"):
        Batch(simulation, scheduled, in_flight=2)
    simulation.arrive(scheduled, np.zeros(4))
    simulation.run(until=0.1)
    assert len(simulation.outcome(scheduled).latencies) == 4


def test_they_cost_their_model_no_share_of_the_threads():
    simulation = Simulation(1)
    cost = linear(1e-3, 1e-4)
    scheduled = simulation.add("m", cost, BatchingOptions())
    other = simulation.add("other", cost, BatchingOptions())
    Batch(simulation, scheduled)
    simulation.run(until=1.0)
    assert scheduled.share.virtual_time == other.share.virtual_time == 0.0
