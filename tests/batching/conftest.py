from __future__ import annotations

import threading

import numpy as np
import pytest

from penstock.runtimes.contract import ModelExecutionError, Signature, TensorSpec


class Doubler:
    """A tiny real model: twice the input, row by row. Negative rows are refused."""

    def __init__(self, *, batch_axis=True):
        first = -1 if batch_axis else 1
        self.signature = Signature(
            (TensorSpec("x", "FP32", (first, 3)),),
            (TensorSpec("y", "FP32", (first, 3)),),
            batch_axis,
        )
        self.metadata = {}
        self.runs = []
        self.threads = set()
        self.gate = None
        self.running = threading.Event()

    def execute(self, inputs, outputs):
        self.threads.add(threading.current_thread())
        self.running.set()
        if self.gate is not None:
            assert self.gate.wait(60)
        self.runs.append(inputs[0].shape[0])
        if (inputs[0] < 0).any():
            raise ModelExecutionError("a negative row")
        return [inputs[0] * 2 for _ in outputs]

    def unload(self): ...

    async def started(self, loop):
        """Waits until a run has begun."""
        assert await loop.run_in_executor(None, self.running.wait, 10)


@pytest.fixture
def doubler():
    return Doubler()


@pytest.fixture
def solo_doubler():
    return Doubler(batch_axis=False)


@pytest.fixture
def rows_of():
    """Makes the tensor of a request: ``rows`` rows that hold ``value``."""
    return lambda value, rows=1: np.full((rows, 3), value, np.float32)
