from __future__ import annotations

import asyncio
import threading
import time

import numpy as np
import pytest

from penstock.batching.loop_pause import pause_seconds
from penstock.batching.options import BatchingOptions
from penstock.batching.policy import ACTIVE_SECONDS
from penstock.batching.request import InferenceRequest
from penstock.batching.scheduler import Scheduler
from penstock.batching.scheduler_state import SchedulerState

NOW = 100.0


@pytest.fixture
def busy_state():
    state = SchedulerState(1, 1e-4)
    state.free = 0
    return state


def test_the_loop_looks_away_while_all_threads_run(busy_state):
    assert pause_seconds(busy_state, 1e-3, NOW) == 1e-3
    busy_state.free = 1
    assert pause_seconds(busy_state, 1e-3, NOW) == 0


def test_no_longer_than_a_small_part_of_what_anybody_waits(busy_state):
    busy_state.least_tolerable_delay = 8e-3
    assert pause_seconds(busy_state, 1e-3, NOW) == pytest.approx(0.5e-3)


def test_not_while_another_model_runs_on_the_loop(busy_state):
    busy_state.inlined_at = NOW - 0.5 * ACTIVE_SECONDS
    assert pause_seconds(busy_state, 1e-3, NOW) == 0
    busy_state.inlined_at = NOW - 1.5 * ACTIVE_SECONDS
    assert pause_seconds(busy_state, 1e-3, NOW) == 1e-3


class Gated:
    """Runs for as long as the test wants."""

    def __init__(self, signature):
        self.signature = signature
        self.gate = threading.Event()

    def execute(self, inputs, outputs):
        self.gate.wait(60)
        return [inputs[0]]


@pytest.mark.parametrize("longest", [0.0, 5.0])
def test_a_run_that_ends_wakes_the_loop_and_what_came_meanwhile_is_served(doubler, longest):
    async def main():
        loop = asyncio.get_running_loop()
        model = Gated(doubler.signature)
        scheduler = Scheduler(loop, threads=1, inline_seconds=0.0, longest_pause=longest)
        answered, both = [], asyncio.Event()

        def sink(batch):
            answered.append(batch)
            if len(answered) == 2:
                both.set()

        options = BatchingOptions(max_queue_seconds=1000.0)
        scheduled = scheduler.register("m", "1", model, options, sink)
        x = np.ones((1, 3), np.float32)

        def submit():
            scheduler.submit(scheduled, InferenceRequest((x,), 1, ("y",), time.perf_counter()))

        threading.Timer(0.05, model.gate.set).start()
        submit()
        loop.call_later(0.01, submit)  # due during the pause, if there is one
        await asyncio.wait_for(both.wait(), 2)
        assert [batch.error for batch in answered] == [None, None]
        await scheduler.close()

    asyncio.run(main())
