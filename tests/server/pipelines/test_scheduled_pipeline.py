"""One request in the scheduler: deadlines, withdrawal, overload, errors and the end of a server."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from penstock.batching.errors import DeadlineExceeded, Overloaded
from penstock.batching.options import BatchingOptions
from penstock.batching.request import Batch, InferenceRequest
from penstock.batching.scheduler import Scheduler
from penstock.monitoring.metrics.metrics import CounterFile
from penstock.runtimes.contract import ModelExecutionError, Signature, TensorSpec
from penstock.server.pipelines.pins import Pin
from penstock.server.pipelines.pipeline_file import parse_pipeline
from penstock.server.pipelines.pipeline_run import PipelineRun
from penstock.server.pipelines.scheduled_pipeline import ScheduledPipeline
from penstock.server.pipelines.step_failed import StepFailed
from penstock.server.pipelines.step_sink import StepSink, part_of
from penstock.server.pipelines.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

TEXT = """
[[steps]]
name = "a"
model = "a"
version = 1
inputs = {x = "request.x"}
[[steps]]
name = "b"
model = "b"
version = 1
inputs = {x = "a.y"}
[outputs]
y = "b.y"
"""
SIGNATURE = Signature(
    (TensorSpec("x", "FP32", (-1, 1)),), (TensorSpec("y", "FP32", (-1, 1)),), batch_axis=True
)


class Held:
    """Adds one; waits while the gate is closed, and fails at negative numbers."""

    def __init__(self) -> None:
        self.signature = SIGNATURE
        self.metadata: dict[str, str] = {}
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.runs: list[list[float]] = []

    def execute(self, inputs: Any, _outputs: Any) -> list[Any]:
        self.runs.append(inputs[0].ravel().tolist())
        self.entered.release()
        assert self.gate.wait(60)
        if (inputs[0] < 0).any():
            raise ModelExecutionError("negative")
        return [inputs[0] + 1]

    def unload(self) -> None:
        """Nothing."""


class Bench:
    """A scheduler with the models ``a`` and ``b`` and the pipeline of both."""

    def __init__(self, **options: Any) -> None:
        self.loop = asyncio.get_running_loop()
        self.scheduler = Scheduler(self.loop, threads=1, inline_seconds=0.0)
        self.a, self.b = Held(), Held()
        self.direct: list[Batch] = []
        counters = CounterFile.anonymous()
        plain = BatchingOptions()
        registered = [
            self.scheduler.register(
                name,
                "1",
                model,
                replace(plain, **options.get(name, {})),
                StepSink(self.direct.append, counters.model(name, "1")),
            )
            for name, model in (("a", self.a), ("b", self.b))
        ]
        file = parse_pipeline(TEXT.encode())
        pins = [Pin(step.name, step.model, 1) for step in file.steps]
        wiring = Wiring(file, pins, [SIGNATURE, SIGNATURE])
        self.ended: dict[int, Batch] = {}
        self.scheduled = self.scheduler.register(
            "p",
            "1",
            self.a,
            replace(plain, **options.get("p", {})),
            lambda batch: self.ended.update({batch.requests[0].context: batch}),
        )
        pipeline = ScheduledPipeline(self.scheduler, self.scheduled, wiring, registered)
        self.scheduled.compose(pipeline)
        self.registered = dict(zip("ab", registered, strict=True))

    def send(self, value: float, context: int = 0, **more: Any) -> InferenceRequest:
        array = np.array([[value]], np.float32)
        now = time.perf_counter()
        request = InferenceRequest([array], 1, ("y",), now, context=context, **more)
        self.scheduler.submit(self.scheduled, request)
        return request

    async def answer(self, context: int = 0) -> Batch:
        await until(lambda: context in self.ended)
        return self.ended[context]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  a thread changes what it looks at
            await asyncio.sleep(0.002)


def on_bench(test: Callable[[Bench], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def main() -> None:
        bench = Bench(**options)
        await test(bench)
        await bench.scheduler.close()
        assert not bench.scheduled.waiting_rows

    asyncio.run(main())


def test_the_requests_of_a_step_share_runs_with_one_another_and_with_direct_ones() -> None:
    async def test(bench: Bench) -> None:
        bench.b.gate.clear()
        for number in range(3):
            bench.send(number, number)
        await until(lambda: bench.b.runs)
        for number in range(3, 7):
            bench.send(number, number)
        direct = InferenceRequest(
            [np.array([[50.0]], np.float32)], 1, ("y",), time.perf_counter(), context="client"
        )
        bench.scheduler.submit(bench.registered["b"], direct)
        bench.b.gate.set()
        for number in range(7):
            batch = await bench.answer(number)
            assert batch.outputs[0].tolist() == [[number + 2]]
        await until(lambda: bench.direct)
        (batch,) = bench.direct
        assert [one.context for one in batch.requests] == ["client"]
        assert batch.outputs[0].tolist() == [[51.0]]
        assert len(bench.a.runs) + len(bench.b.runs) < 14

    on_bench(test)


def test_a_step_is_answered_also_if_the_client_in_its_run_cannot_be_told() -> None:
    async def test(bench: Bench) -> None:
        bench.a.gate.clear()
        request = bench.send(1)
        await until(lambda: bench.a.runs)
        assert isinstance(request.queue, PipelineRun)
        (step,) = request.queue._open.values()
        array = np.array([[50.0]], np.float32)
        client = InferenceRequest([array], 1, ("y",), time.perf_counter(), context="client")
        batch = Batch([client, step], 0.0)
        batch.outputs = [np.array([[51.0], [2.0]], np.float32)]
        sink = bench.registered["a"].sink
        assert isinstance(sink, StepSink)
        sink.direct = broken
        with pytest.raises(RuntimeError, match="cannot be told"):
            sink(batch)
        (waiting,) = request.queue._open.values()
        assert waiting.inputs[0] == [[2.0]]
        assert bench.registered["b"].waiting_rows == 1
        bench.scheduler.cancel(request)
        bench.a.gate.set()

    def broken(_: Batch) -> None:
        raise RuntimeError("the client cannot be told")

    on_bench(test)


def test_a_part_of_a_batch_that_cannot_be_made_is_an_error_of_its_requests() -> None:
    array = np.array([[50.0]], np.float32)
    batch = Batch([InferenceRequest([array], 1, ("y",), 0.0, context="client")], 0.0)
    batch.outputs = [None]  # type: ignore[list-item]
    assert isinstance(part_of(batch, [0]).error, TypeError)


def test_a_part_of_a_batch_knows_the_rows_of_the_whole_run() -> None:
    requests = [InferenceRequest([np.zeros((2, 1), np.float32)], 2, ("y",), 0.0) for _ in range(3)]
    batch = Batch(requests, 0.0)
    batch.inputs = batch.outputs = [np.zeros((6, 1), np.float32)]
    part = part_of(batch, [0, 2])
    assert (part.rows, part.run_rows, batch.run_rows) == (4, 6, 6)


def test_a_withdrawn_request_runs_no_further_step() -> None:
    async def test(bench: Bench) -> None:
        bench.a.gate.clear()
        request = bench.send(1)
        await until(lambda: bench.a.runs)
        assert bench.scheduled.waiting_rows == 1
        assert bench.scheduler.cancel(request)
        assert bench.scheduled.waiting_rows == 0
        bench.a.gate.set()
        bench.send(5, 1)
        assert (await bench.answer(1)).outputs[0].tolist() == [[7.0]]
        assert bench.b.runs == [[6.0]]
        assert 0 not in bench.ended
        assert not bench.scheduler.cancel(request)

    on_bench(test)


def test_a_request_whose_step_waits_is_withdrawn_from_its_queue() -> None:
    async def test(bench: Bench) -> None:
        bench.a.gate.clear()
        bench.send(1)
        await until(lambda: bench.a.runs)
        waiting = bench.send(2, 1)
        assert bench.registered["a"].waiting_rows == 1
        assert bench.scheduler.cancel(waiting)
        assert bench.registered["a"].waiting_rows == 0
        bench.a.gate.set()
        await bench.answer(0)
        assert bench.a.runs == [[1.0]]

    on_bench(test)


def test_the_deadline_of_a_request_holds_for_each_step() -> None:
    async def test(bench: Bench) -> None:
        bench.a.gate.clear()
        bench.send(1)
        await until(lambda: bench.a.runs)
        bench.send(2, 1, deadline=time.perf_counter() + 0.05)
        error = (await bench.answer(1)).error
        assert isinstance(error, StepFailed)
        assert isinstance(error.cause, DeadlineExceeded)
        assert str(error).startswith("step 'a' (model 'a' version 1): the deadline passed")
        bench.a.gate.set()
        await bench.answer(0)
        assert [1.0 + 1] in bench.b.runs
        assert bench.a.runs == [[1.0]]

    on_bench(test)


def test_the_overload_of_a_step_is_named_and_answered_as_overload() -> None:
    async def test(bench: Bench) -> None:
        bench.a.gate.clear()
        bench.send(0, 0)
        await until(lambda: bench.a.runs)
        bench.send(1, 1)
        bench.send(2, 2)
        error = (await bench.answer(2)).error
        assert isinstance(error, StepFailed)
        assert isinstance(error.cause, Overloaded)
        assert error.cause.reason == "queue_full"
        bench.a.gate.set()
        for context in (0, 1):
            assert (await bench.answer(context)).error is None

    on_bench(test, a={"max_queue_rows": 1})


def test_the_queue_of_a_pipeline_is_bounded_by_its_own_option() -> None:
    async def test(bench: Bench) -> None:
        bench.a.gate.clear()
        bench.send(0, 0)
        with pytest.raises(Overloaded) as raised:
            bench.send(1, 1)
        assert raised.value.reason == "queue_full"
        bench.a.gate.set()
        await bench.answer(0)
        bench.send(2, 2)
        assert (await bench.answer(2)).outputs[0].tolist() == [[4.0]]

    on_bench(test, p={"max_queue_rows": 1})


def test_an_error_of_a_later_step_is_that_of_its_own_request() -> None:
    async def test(bench: Bench) -> None:
        bench.b.gate.clear()
        bench.send(7, 0)
        await until(lambda: bench.b.runs)
        for context, value in enumerate((-1.5, 3.0, -9.0), 1):
            bench.send(value, context)
        bench.b.gate.set()
        assert (await bench.answer(2)).outputs[0].tolist() == [[5.0]]
        for context, step in ((1, "a"), (3, "a")):
            error = (await bench.answer(context)).error
            assert isinstance(error, StepFailed)
            assert error.step.startswith(f"step {step!r}")

    on_bench(test)


def test_a_stop_answers_the_requests_in_all_their_steps() -> None:
    async def main() -> None:
        bench = Bench()
        bench.a.gate.clear()
        bench.send(1)
        await until(lambda: bench.a.runs)
        closing = asyncio.ensure_future(bench.scheduler.close())
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="draining"):
            bench.send(2, 1)
        bench.a.gate.set()
        await closing
        assert bench.ended[0].outputs[0].tolist() == [[3.0]]

    asyncio.run(main())
