"""What the batcher adds to a run: from submit to sink, without HTTP.

Run with ``pytest tests/benchmarks/test_batching_benchmark.py --benchmark-only``.
"""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from penstock.batching.cost import CostTable
from penstock.batching.options import BatchingOptions
from penstock.batching.request import InferenceRequest
from penstock.batching.scheduler import Scheduler
from penstock.runtimes.contract import Signature, TensorSpec


class Echo:
    """Gives back its input: all the time measured is the batcher's."""

    signature = Signature(
        (TensorSpec("x", "FP32", (-1, 30)),), (TensorSpec("y", "FP32", (-1, 30)),), batch_axis=True
    )
    metadata = {}  # noqa: RUF012  as in the contract

    def execute(self, inputs, outputs):
        return [inputs[0]]

    def unload(self): ...


class OneTick:
    """An event loop reduced to its queue of callbacks."""

    def __init__(self):
        self.ready = []

    def call_soon(self, callback):
        self.ready.append(callback)

    def call_later(self, delay, callback):
        """Nothing waits that long here."""

    def run(self):
        while self.ready:
            self.ready.pop()()


def prepare(number, slo_seconds=math.inf):
    loop = OneTick()
    scheduler = Scheduler(loop, threads=1)
    scheduler._state.free = 0  # a run that was interrupted must not send the next one to a thread
    answered = []
    costs = CostTable((1, 64), (1e-6, 5e-6))
    options = BatchingOptions(slo_seconds=slo_seconds)
    servable = scheduler.register("echo", "1", Echo(), options, answered.append, costs)
    x = np.zeros((1, 30), np.float32)

    def requests():
        now = time.perf_counter()
        made = [InferenceRequest((x,), 1, ("y",), now) for _ in range(number)]
        return (made,), {}

    def submit_and_run(made):
        submit = scheduler.submit
        for request in made:
            submit(servable, request)
        loop.run()

    return requests, submit_and_run, answered


@pytest.mark.parametrize("slo_seconds", [math.inf, 1.0], ids=["no slo", "slo"])
@pytest.mark.parametrize("number", [1, 32, 64])
def test_submit_to_sink(benchmark, number, slo_seconds):
    requests, submit_and_run, answered = prepare(number, slo_seconds)
    rounds = []

    def setup():
        rounds.append(number)
        return requests()

    benchmark.pedantic(submit_and_run, setup=setup, rounds=2000, warmup_rounds=100)
    assert sum(len(batch.requests) for batch in answered) == sum(rounds)


@pytest.mark.parametrize(("number", "most_seconds"), [(1, 20e-6), (32, 32 * 5e-6)])
def test_the_batcher_adds_microseconds(number, most_seconds):
    """I10: the least of many tries, far above what it takes here (5 us and 32 * 0.7 us)."""
    requests, submit_and_run, _ = prepare(number)
    least = math.inf
    for _ in range(500):
        (made,), _ = requests()
        before = time.perf_counter()
        submit_and_run(made)
        least = min(least, time.perf_counter() - before)
    assert least < most_seconds
