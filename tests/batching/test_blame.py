"""Whose fault a failed run is."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.batching.blame import MAX_KNOWN_BYTES, known_inputs
from penstock.batching.errors import InputsAtFault, LostRows
from penstock.batching.execution import execute
from penstock.batching.request import Batch, InferenceRequest
from penstock.runtimes.contract import (
    ModelExecutionError,
    ResourcesExhausted,
    Signature,
    TensorSpec,
    UnsuitableInput,
)

KNOWN = [np.zeros((1, 3), np.float32)]


class Queue:
    """As much of a queue as a run looks at."""

    def __init__(self, inputs):
        self.owner = self
        self.known_inputs = inputs


def run(model, values, known=KNOWN):
    queue = Queue(known)
    requests = [
        InferenceRequest([np.full((1, 3), value, np.float32)], 1, ("y",), 0.0) for value in values
    ]
    batch = Batch(requests, 0.0, queue)
    parts = execute(batch, model, lambda: 1.0) or [batch]
    return {part.requests[0].inputs[0][0, 0]: part for part in parts}


def test_inputs_that_fail_twice_while_others_run_are_at_fault(doubler):
    (batch,) = run(doubler, [-1]).values()
    assert isinstance(batch.error, InputsAtFault)
    assert isinstance(batch.error.cause, ModelExecutionError)
    assert "'x' [1, 3]: a negative row" in str(batch.error)


def test_among_others_only_the_culprit_is_told(doubler):
    found = run(doubler, [1, 2, -3, 4])
    assert [value for value, part in found.items() if part.error is not None] == [-3]
    assert isinstance(found[-3].error, InputsAtFault)


def test_a_model_that_fails_on_known_inputs_is_at_fault_itself(doubler):
    doubler.execute = lambda inputs, outputs: (_ for _ in ()).throw(ModelExecutionError("broken"))
    (batch,) = run(doubler, [1]).values()
    assert type(batch.error) is ModelExecutionError


def test_what_fails_once_and_runs_again_is_answered(doubler):
    runs, real = [], doubler.execute

    def moody(inputs, outputs):
        runs.append(1)
        if len(runs) == 1:
            raise ModelExecutionError("not now")
        return real(inputs, outputs)

    doubler.execute = moody
    (batch,) = run(doubler, [4]).values()
    assert batch.error is None
    assert batch.outputs[0].tolist() == [[8, 8, 8]]


def test_without_known_inputs_nobody_is_blamed(doubler):
    (batch,) = run(doubler, [-1], None).values()
    assert type(batch.error) is ModelExecutionError
    assert doubler.runs == [1]


@pytest.mark.parametrize(
    "error", [UnsuitableInput("no"), ResourcesExhausted("no memory"), ValueError("a bug")]
)
def test_what_is_clear_already_is_left_as_it_is(doubler, error):
    def fail(inputs, outputs):
        doubler.runs.append(1)
        raise error

    doubler.execute = fail
    (batch,) = run(doubler, [1]).values()
    assert batch.error is error
    assert doubler.runs == [1]


def test_rows_that_fall_away_are_the_fault_of_their_values(doubler):
    doubler.execute = lambda inputs, outputs: [(inputs[0] * 2)[inputs[0][:, 0] < 5]]
    (batch,) = run(doubler, [7]).values()
    assert isinstance(batch.error, InputsAtFault)
    assert isinstance(batch.error.cause, LostRows)


def test_a_copy_of_one_row_is_kept_if_it_is_small():
    specs = (TensorSpec("x", "FP32", (-1, 3)), TensorSpec("c", "FP32", (3,), optional=True))
    signature = Signature(specs, (), batch_axis=True)
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    kept = known_inputs([x, None], signature)
    assert kept is not None
    assert kept[0].tolist() == [[0, 1, 2]]
    assert kept[1] is None
    assert not np.shares_memory(kept[0], x)
    large = np.zeros((1, MAX_KNOWN_BYTES // 4 + 1), np.float32)
    wide = Signature((TensorSpec("x", "FP32", (-1, -1)),), (), batch_axis=True)
    assert known_inputs([large], wide) is None
