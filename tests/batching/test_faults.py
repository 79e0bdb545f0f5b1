"""Whatever raises around a run, every request that was let in is answered once."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import CancelledError

import numpy as np
import pytest

from penstock.batching import dispatcher
from penstock.batching.contained import Escaped, contained, words
from penstock.batching.cost import CostTable
from penstock.batching.options import BatchingOptions
from penstock.batching.request import InferenceRequest
from penstock.batching.scheduler import Scheduler

INLINE = CostTable((1, 64), (1e-6, 5e-6))
THREADS = CostTable((1, 64), (0.01, 0.02))


class Panic(BaseException):
    """As native libraries have it; its text cannot be made either."""

    def __str__(self):
        raise RuntimeError


RAISED = [
    ValueError("a mistake"),
    SystemExit(3),
    KeyboardInterrupt(),
    StopIteration(),
    GeneratorExit(),
    MemoryError(),
    RecursionError(),
    CancelledError(),
    asyncio.CancelledError(),
    Panic(),
]


class Asked:
    """A scheduler with one model, and what each of its requests was told."""

    def __init__(self, model, costs, **options):
        self.loop = asyncio.get_running_loop()
        self.told = []
        self.loop.set_exception_handler(lambda _, context: self.told.append(context["exception"]))
        self.scheduler = Scheduler(self.loop, threads=2)
        self.answers = {}
        self.scheduled = self.scheduler.register(
            "m", "1", model, BatchingOptions(**options), self.sink, costs
        )

    def sink(self, batch):
        for request in batch.requests:
            assert not request.context.done(), "answered twice"
            request.context.set_result(batch.error)

    async def ask(self, *values, rows=1):
        """What requests of one iteration of the loop are told."""
        waiting = []
        for value in values:
            future = self.loop.create_future()
            x = np.full((rows, 3), value, np.float32)
            now = time.perf_counter()
            request = InferenceRequest((x,), rows, ("y",), now, context=future)
            self.scheduler.submit(self.scheduled, request)
            waiting.append(future)
        return await asyncio.gather(*waiting)


def run(main):
    asyncio.run(asyncio.wait_for(main(), 20))


@pytest.mark.parametrize("costs", [INLINE, THREADS], ids=["inline", "threads"])
@pytest.mark.parametrize("raised", RAISED, ids=lambda error: type(error).__name__)
def test_whatever_a_model_raises_fails_its_own_request_only(doubler, costs, raised):
    execute = doubler.execute

    def moody(inputs, outputs):
        if (inputs[0] == 13).any():
            raise raised
        return execute(inputs, outputs)

    async def main():
        doubler.execute = moody
        asked = Asked(doubler, costs)
        for _ in range(3):  # more often than there are threads
            (error,) = await asked.ask(13)
            assert isinstance(error, Exception)
            assert type(raised).__name__ in words(error)
            first, culprit, last = await asked.ask(1, 13, 2)
            assert (first, last) == (None, None)
            assert type(culprit) is type(error)
        assert await asked.ask(1) == [None]
        assert not asked.told
        assert asked.scheduler._state.free == asked.scheduler._state.threads
        await asked.scheduler.close()

    run(main)


@pytest.mark.parametrize("raised", RAISED, ids=lambda error: type(error).__name__)
def test_what_a_plug_in_raises_off_the_loop_never_leaves_the_waiting_task_waiting(raised):
    def fail():
        raise raised

    async def main():
        loop = asyncio.get_running_loop()
        with pytest.raises(Exception) as caught:  # noqa: PT011  any that is one
            await loop.run_in_executor(None, contained, fail)
        assert type(raised).__name__ in words(caught.value)
        assert isinstance(caught.value, Escaped) or caught.value is raised

    run(main)


@pytest.mark.parametrize("costs", [INLINE, THREADS], ids=["inline", "threads"])
@pytest.mark.parametrize(
    "broken",
    [
        ("model", "account"),
        ("model", "charge"),
        ("delivery", "refuse"),
        ("dispatcher", "_rest"),
        ("dispatcher", "_note_start"),
        ("dispatcher", "_pass"),
        ("executor", "start"),
        ("state", "update_utilisation"),
    ],
    ids=" ".join,
)
def test_a_mistake_at_any_step_leaves_nobody_waiting(doubler, costs, broken, monkeypatch):
    async def main():
        asked = Asked(doubler, costs)
        scheduler = asked.scheduler
        holders = {
            "model": type(asked.scheduled),
            "delivery": type(scheduler._dispatcher.delivery),
            "dispatcher": dispatcher.Dispatcher,
            "executor": type(scheduler._dispatcher._executor),
            "state": type(scheduler._state),
        }
        holder, name = holders[broken[0]], broken[1]
        for failing_call in range(3):
            calls = iter(range(1000))
            with monkeypatch.context() as patch:
                step = getattr(holder, name)

                def fail_once(*args, step=step, calls=calls, failing_call=failing_call):
                    if next(calls) == failing_call:
                        raise ArithmeticError
                    return step(*args)

                patch.setattr(holder, name, fail_once)
                answers = await asked.ask(1, 2, 3) + await asked.ask(4)
                answers += await asked.ask(5, rows=200)
            assert all(answer is None or type(answer) is ArithmeticError for answer in answers)
            assert await asked.ask(1, 2) == [None, None]
        assert scheduler._state.free == scheduler._state.threads
        assert asked.scheduled.waiting_rows == 0
        assert not any(queue.running for queue in asked.scheduled.queues())
        await scheduler.close()

    run(main)


@pytest.mark.parametrize("step", ["dispatcher", "executor"])
def test_a_run_that_a_thread_has_taken_ends_once_if_handing_it_over_fails_after_that(
    doubler, step, monkeypatch
):
    async def main():
        asked = Asked(doubler, THREADS)
        holder, name = dispatcher.Dispatcher, "_hand_over"
        if step == "executor":
            holder, name = type(asked.scheduler._dispatcher._executor), "start"
        do = getattr(holder, name)

        def do_and_fail(*args):
            do(*args)
            raise ArithmeticError

        with monkeypatch.context() as patch:
            patch.setattr(holder, name, do_and_fail)
            answers = await asked.ask(1, 2, 3)
            answers += await asked.ask(5, rows=200)
        assert {type(answer) for answer in answers} <= {type(None), ArithmeticError}
        await asked.scheduler.close()  # all threads have told of the ends of their runs
        await asyncio.sleep(0)
        assert not asked.told  # nobody was answered twice
        assert asked.scheduler._state.free == asked.scheduler._state.threads

    run(main)


def test_a_run_for_which_no_thread_can_be_had_is_answered(doubler, monkeypatch):
    """And is not run later either, by a thread that can."""

    def refuse(self):
        raise RuntimeError("can't start new thread")

    async def main():
        asked = Asked(doubler, THREADS, max_batch_size=1)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            errors = await asked.ask(1, 2, 3)
        assert [str(error) for error in errors] == ["can't start new thread"] * 3
        assert await asked.ask(4) == [None]
        assert doubler.runs == [1]
        await asked.scheduler.close()

    run(main)


@pytest.mark.parametrize("costs", [INLINE, THREADS], ids=["inline", "threads"])
def test_parts_of_an_answer_that_do_not_fit_together_are_an_error(doubler, costs):
    async def main():
        doubler.execute = lambda inputs, _: [
            np.zeros((len(inputs[0]), 3 + (len(doubler.runs))), np.float32)
        ]
        asked = Asked(doubler, costs, max_batch_size=2)
        assert await asked.ask(1, rows=4) == [None]
        execute = doubler.execute

        def growing(inputs, outputs):
            doubler.runs.append(1)
            return execute(inputs, outputs)

        doubler.execute = growing
        (error,) = await asked.ask(1, rows=4)
        assert "do not fit together" in str(error)
        await asked.scheduler.close()

    run(main)
