from __future__ import annotations

import math
from itertools import count

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.batching.errors import InvalidOutput
from penstock.batching.execution import execute
from penstock.batching.request import Batch, InferenceRequest
from penstock.runtimes.contract import (
    ModelAway,
    ModelExecutionError,
    ProcessEnded,
    RunTimeout,
    Signature,
    TensorSpec,
)


class Rowwise:
    """Each output row depends on its input row only; rows that hold 13 are refused."""

    signature = Signature(
        (TensorSpec("x", "FP32", (-1, 2)), TensorSpec("z", "FP32", (-1,), optional=True)),
        (TensorSpec("sum", "FP32", (-1,)), TensorSpec("twice", "FP32", (-1, 2))),
        batch_axis=True,
    )
    metadata = {}  # noqa: RUF012  as in the contract

    def __init__(self):
        self.runs = 0

    def execute(self, inputs, outputs):
        self.runs += 1
        x, z = inputs
        if (x == 13).any():
            raise ModelExecutionError("thirteen")
        answers = {"sum": x.sum(axis=1) + (0 if z is None else z), "twice": 2 * x}
        return [answers[name] for name in outputs]

    def unload(self): ...


def batch_of(sizes, *, culprits=(), optional=False, outputs=("sum", "twice")):
    random = np.random.default_rng(len(sizes))
    requests = []
    for index, rows in enumerate(sizes):
        x = random.uniform(0, 1, (rows, 2)).astype(np.float32)
        if index in culprits:
            x[rows // 2] = 13
        z = np.arange(rows, dtype=np.float32) if optional else None
        requests.append(InferenceRequest((x, z), rows, outputs, 0.0, context=index))
    return Batch(requests, 0.0)


def ticking():
    ticks = count()
    return lambda: float(next(ticks))


sizes = st.lists(st.integers(1, 5), min_size=1, max_size=40)


@given(sizes, st.booleans(), st.sampled_from([("sum",), ("sum", "twice")]))
def test_a_row_of_a_batch_is_what_it_is_alone(sizes, optional, outputs):
    model = Rowwise()
    batch = batch_of(sizes, optional=optional, outputs=outputs)
    assert execute(batch, model, ticking()) is None
    for index, request in enumerate(batch.requests):
        first, last = batch.offsets[index], batch.offsets[index + 1]
        for together, alone in zip(
            batch.outputs, model.execute(request.inputs, outputs), strict=True
        ):
            np.testing.assert_array_equal(together[first:last], alone)


@given(sizes, st.data())
def test_only_the_culprits_fail_and_finding_them_is_bounded_work(sizes, data):
    culprits = data.draw(st.sets(st.integers(0, len(sizes) - 1)))
    model = Rowwise()
    batch = batch_of(sizes, culprits=culprits)
    finished = execute(batch, model, ticking()) or [batch]
    seen = []
    for part in finished:
        for request in part.requests:
            seen.append(request.context)
            assert isinstance(part.error, ModelExecutionError) == (request.context in culprits)
        assert part.error is None or len(part.requests) == 1
        assert part.formed_at <= part.started_at <= part.finished_at
    assert seen == list(range(len(sizes)))
    most = 2 * len(culprits) * math.ceil(math.log2(len(sizes))) + 1
    assert model.runs <= min(most, 2 * len(sizes) - 1)


def test_a_single_request_is_run_without_a_copy():
    seen = []

    class Model(Rowwise):
        def execute(self, inputs, outputs):
            seen.append(inputs)
            return super().execute(inputs, outputs)

    batch = batch_of([3])
    execute(batch, Model(), ticking())
    assert seen[0][0] is batch.requests[0].inputs[0]


@pytest.mark.parametrize(
    "answer",
    [
        lambda x: [np.zeros(len(x) + 1, np.float32)],
        lambda x: [np.float32(1).reshape(())],
        lambda x: [],
        lambda x: [np.zeros(len(x)), np.zeros(len(x))],
    ],
    ids=["too many rows", "a scalar", "no output", "one output too many"],
)
def test_outputs_without_one_row_per_input_row_are_an_error(answer):
    class Model(Rowwise):
        def execute(self, inputs, outputs):
            return answer(inputs[0])

    batch = batch_of([2], outputs=("sum",))
    execute(batch, Model(), ticking())
    assert isinstance(batch.error, InvalidOutput)
    assert not batch.outputs


class Fragile(Rowwise):
    """Raises an error of an isolated model for rows that hold 13."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def execute(self, inputs, outputs):
        try:
            return super().execute(inputs, outputs)
        except ModelExecutionError:
            raise self.error from None


@given(sizes, st.integers(0, 39))
def test_a_batch_that_ends_its_process_is_split_once(sizes, culprit):
    model = Fragile(ProcessEnded("crashed"))
    whole = batch_of(sizes, culprits={culprit % len(sizes)})
    parts = execute(whole, model, ticking()) or [whole]
    assert model.runs == (1 if len(sizes) == 1 else 3)
    failed = [one for part in parts if part.error for one in part.requests]
    assert [one for part in parts for one in part.requests] == whole.requests
    assert len(failed) <= -(-len(sizes) // 2)
    assert culprit % len(sizes) in {one.context for one in failed}
    for part in parts:
        if part.error is None:
            alone = [Rowwise().execute(one.inputs, ("sum",))[0] for one in part.requests]
            assert part.outputs[0].tolist() == np.concatenate(alone).tolist()


def test_a_batch_that_ended_its_process_is_split_once_though_a_part_fails_otherwise_between():
    class Model(Rowwise):
        """Ends its process for rows that hold 13, unless it fails before at four requests."""

        ends = 0

        def execute(self, inputs, outputs):
            if len(inputs[0]) == 4:
                raise ModelExecutionError("four")
            try:
                return super().execute(inputs, outputs)
            except ModelExecutionError:
                self.ends += 1
                raise ProcessEnded("crashed") from None

    model = Model()
    parts = execute(batch_of([1] * 8, culprits={2}), model, ticking())
    assert model.ends == 2
    failed = {one.context for part in parts if part.error for one in part.requests}
    assert failed == {2, 3}


@pytest.mark.parametrize("error", [RunTimeout("too long"), ModelAway("gone", 1.0)])
def test_what_no_further_run_would_mend_is_not_run_again(error):
    model = Fragile(error)
    batch = batch_of([1, 2, 3], culprits={1})
    assert execute(batch, model, ticking()) is None
    assert model.runs == 1
    assert batch.error is error
