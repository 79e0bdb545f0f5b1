"""The scheduler with real threads, on both event loops."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from itertools import count

import numpy as np
import pytest
import uvloop

from penstock.batching.cost import CostTable
from penstock.batching.errors import DeadlineExceeded, InvalidOutput, Overloaded
from penstock.batching.options import BatchingOptions
from penstock.batching.request import InferenceRequest
from penstock.batching.scheduler import Scheduler
from penstock.runtimes.contract import Signature, TensorSpec

TINY = CostTable((1, 64), (1e-6, 5e-6))
LONG = CostTable((1, 64), (0.01, 0.02))


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request):
    """Runs a coroutine function on either loop."""

    def runner(main):
        with asyncio.Runner(loop_factory=request.param) as loop:
            return loop.run(asyncio.wait_for(main(), 60))

    return runner


def quick_clock():
    """A clock by which a run takes a microsecond, however busy the machine is."""
    looks = count()
    return lambda: next(looks) * 1e-6


class Owner:
    """Submits rows of a number and checks that each answer is twice that."""

    def __init__(self, model, options=None, costs=None, threads=2, clock=time.perf_counter):
        self.loop = asyncio.get_running_loop()
        self.clock = clock
        self.scheduler = Scheduler(self.loop, threads=threads, clock=clock)
        self.answers = {}
        self.batches = []
        self.expected = 0
        self.done = asyncio.Event()
        self.model = model
        self.scheduled = self.scheduler.register(
            "m", "1", model, options or BatchingOptions(), self.sink, costs
        )

    def sink(self, batch):
        self.batches.append(batch)
        for index, request in enumerate(batch.requests):
            assert request.context not in self.answers, "answered twice"
            if batch.error is None:
                first, last = batch.offsets[index], batch.offsets[index + 1]
                rows = batch.outputs[0][first:last]
                np.testing.assert_array_equal(rows, request.inputs[0] * 2)
            self.answers[request.context] = batch.error
        if len(self.answers) >= self.expected:
            self.done.set()

    def submit(self, name, value, rows=1, **more):
        x = np.full((rows, 3), value, np.float32)
        request = InferenceRequest((x,), rows, ("y",), self.clock(), context=name, **more)
        self.scheduler.submit(self.scheduled, request)
        self.expected += 1
        return request

    async def answered(self):
        await self.done.wait()


@pytest.mark.parametrize("costs", [TINY, LONG, None], ids=["inline", "threads", "unknown"])
def test_requests_of_one_tick_share_runs_and_get_their_own_rows(run, doubler, costs):
    async def main():
        owner = Owner(doubler, costs=costs, clock=quick_clock())
        for number in range(200):
            owner.submit(number, number, rows=1 + number % 5)
        await owner.answered()
        await owner.scheduler.close()
        assert set(owner.answers.values()) == {None}
        assert len(owner.answers) == 200
        assert max(doubler.runs) > 1
        assert max(doubler.runs) <= 64
        if costs is LONG:
            assert threading.current_thread() not in doubler.threads
        else:
            assert threading.current_thread() in doubler.threads, "short runs stay on the loop"

    run(main)


def alone(owner, value, rows=1, **more):
    x = np.full((rows, 3), value, np.float32)
    return InferenceRequest((x,), rows, ("y",), owner.clock(), **more)


def test_a_short_run_may_be_had_at_once(run, doubler):
    async def main():
        owner = Owner(doubler, costs=TINY, clock=quick_clock())
        scheduler, scheduled = owner.scheduler, owner.scheduled
        scheduler.begin_tick()
        batch = scheduler.run_now(scheduled, alone(owner, 3, rows=5))
        assert batch is not None
        assert batch.error is None
        np.testing.assert_array_equal(batch.outputs[0], np.full((5, 3), 6))
        assert doubler.threads == {threading.current_thread()}
        failed = scheduler.run_now(scheduled, alone(owner, -1))
        assert failed is not None
        assert failed.error is not None
        assert doubler.runs[0] == 5
        assert scheduled.share.virtual_time == scheduled.virtual_time > 0
        assert not owner.batches, "the caller has them"
        await scheduler.close()

    run(main)


@pytest.mark.parametrize("why", ["waiting", "long", "slo", "background", "hold", "rows", "spent"])
def test_what_is_not_next_or_not_short_is_not_run_at_once(run, doubler, why):
    options = {
        "slo": BatchingOptions(slo_seconds=1),
        "background": BatchingOptions(background=True),
        "hold": BatchingOptions(max_hold_seconds=0.01),
    }

    async def main():
        owner = Owner(doubler, options.get(why), LONG if why == "long" else TINY)
        scheduler = owner.scheduler
        if why != "spent":
            scheduler.begin_tick()
        if why == "waiting":
            owner.submit("first", 1)
        request = alone(owner, 2, rows=65 if why == "rows" else 1)
        assert scheduler.run_now(owner.scheduled, request) is None
        assert not doubler.runs
        scheduler.dispatch()
        if owner.expected:
            await owner.answered()
        await scheduler.close()

    run(main)


def test_who_was_gathered_meanwhile_is_in_the_next_run(run, doubler):
    async def main():
        owner = Owner(doubler, costs=LONG, threads=1)
        scheduler = owner.scheduler
        doubler.gate = threading.Event()
        owner.submit("first", 1)
        await doubler.started(owner.loop)
        owner.submit("waiting", 2)
        gathered = [("gathered", 3), ("another", 4)]

        def before_dispatch():
            scheduler.begin_tick()
            while gathered:
                owner.expected -= 1  # counted before
                owner.submit(*gathered.pop())
            scheduler.dispatch()

        scheduler.on_slot(before_dispatch)
        await asyncio.sleep(0)
        owner.expected = 2 + len(gathered)
        doubler.gate.set()
        await owner.answered()
        assert doubler.runs == [1, 3]
        await scheduler.close()

    run(main)


def test_who_has_run_is_answered_even_if_gathering_fails(run, doubler):
    async def main():
        reported = []
        owner = Owner(doubler, costs=LONG, threads=1)
        owner.loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
        owner.scheduler.on_slot(lambda: 1 // 0)
        for value in range(3):
            owner.submit(value, value)
            await asyncio.sleep(0)
        await owner.answered()
        assert list(owner.answers.values()) == [None] * 3
        assert {type(error) for error in reported} == {ZeroDivisionError}
        await owner.scheduler.close()

    run(main)


def test_who_is_given_up_together_is_told_together(run, doubler):
    async def main():
        owner = Owner(doubler, costs=LONG, threads=1)
        doubler.gate = threading.Event()
        owner.submit("running", 1)
        await doubler.started(owner.loop)
        for value in range(3):
            owner.submit(value, value)
        dispatcher = owner.scheduler._dispatcher
        dispatcher.delivery.drop(owner.scheduled.queue, 3, DeadlineExceeded())
        dispatcher.delivery.refuse()
        assert [len(batch.requests) for batch in owner.batches] == [3]
        assert {type(error) for error in owner.answers.values()} == {DeadlineExceeded}
        doubler.gate.set()
        await owner.scheduler.close()

    run(main)


def test_a_poisoned_request_fails_alone(run, doubler):
    async def main():
        owner = Owner(doubler, costs=LONG)
        for number in range(40):
            owner.submit(number, -1 if number in {7, 23} else number)
        await owner.answered()
        await owner.scheduler.close()
        assert {name for name, error in owner.answers.items() if error} == {7, 23}

    run(main)


def test_a_request_larger_than_a_run_is_cut_and_put_together(run, doubler):
    async def main():
        owner = Owner(doubler, costs=LONG)
        owner.submit("large", 5, rows=1000)
        owner.submit("small", 6)
        await owner.answered()
        assert owner.answers == {"large": None, "small": None}
        assert max(doubler.runs) <= 64
        large = next(batch for batch in owner.batches if batch.rows == 1000)
        assert [one.tolist() for one in large.outputs] == [[[10.0] * 3] * 1000]
        assert large.formed_at <= large.started_at < large.finished_at
        await owner.scheduler.close()

    run(main)


def test_chunks_that_are_cut_again_for_others_are_put_together_in_order(run, doubler):
    async def main():
        owner = Owner(doubler, costs=LONG, threads=1)
        doubler.gate = threading.Event()
        x = np.arange(3000, dtype=np.float32).reshape(1000, 3)
        request = InferenceRequest((x,), 1000, ("y",), owner.clock(), context="large")
        owner.scheduler.submit_background(owner.scheduled, request)
        await doubler.started(owner.loop)
        owner.submit("small", 6)
        owner.expected += 1
        doubler.gate.set()
        await owner.answered()
        large = next(batch for batch in owner.batches if batch.rows == 1000)
        assert large.error is None
        assert np.array_equal(large.outputs[0], 2 * x)
        assert doubler.runs[:2] == [64, 1]
        assert sum(doubler.runs) == 1001
        assert set(doubler.runs[2:]) != {64, 40}, "some were cut again"
        await owner.scheduler.close()

    run(main)


@pytest.mark.parametrize("shape", [(), (1,), (3,)])
def test_each_part_of_a_cut_request_gets_all_of_an_optional_input(run, shape):
    class Scaler:
        def __init__(self):
            self.signature = Signature(
                (TensorSpec("x", "FP32", (-1, 3)), TensorSpec("f", "FP32", shape, optional=True)),
                (TensorSpec("y", "FP32", (-1, 3)),),
                batch_axis=True,
            )

        def execute(self, inputs, _outputs):
            assert inputs[1].shape == shape
            return [inputs[0] * inputs[1]]

    async def main():
        owner = Owner(Scaler(), costs=LONG)
        x, factor = np.full((150, 3), 5, np.float32), np.full(shape, 2, np.float32)
        request = InferenceRequest((x, factor), 150, ("y",), owner.clock(), key=(), context="cut")
        owner.scheduler.submit(owner.scheduled, request)
        owner.expected = 1
        await owner.answered()
        assert owner.answers == {"cut": None}
        await owner.scheduler.close()

    run(main)


def test_one_bad_row_fails_a_cut_request_once(run, doubler):
    async def main():
        owner = Owner(doubler, costs=LONG)
        request = owner.submit("large", 5, rows=1000)
        request.inputs[0][500] = -1
        await owner.answered()
        await owner.scheduler.close()
        assert isinstance(owner.answers["large"], Exception)
        assert len(owner.batches) == 1

    run(main)


def test_answers_of_parts_that_do_not_fit_together_fail_the_request(run, doubler):
    """What a run gave after the first one has another element type, or other elements."""
    plain = doubler.execute

    def changing(inputs, outputs):
        answers = plain(inputs, outputs)
        return [one[:, :2] for one in answers] if len(doubler.runs) > 1 else answers

    doubler.execute = changing
    doubler.signature = Signature(
        doubler.signature.inputs, (TensorSpec("y", "FP32", (-1, -1)),), batch_axis=True
    )

    async def main():
        owner = Owner(doubler, costs=LONG)
        owner.submit("large", 5, rows=1000)
        await owner.answered()
        await owner.scheduler.close()
        assert isinstance(owner.answers["large"], InvalidOutput)
        assert "fit together" in str(owner.answers["large"])
        assert len(owner.batches) == 1

    run(main)


def test_a_model_without_batch_axis_runs_one_request_at_a_time(run, solo_doubler):
    async def main():
        owner = Owner(solo_doubler, costs=LONG)
        for number in range(10):
            owner.submit(number, number)
        await owner.answered()
        await owner.scheduler.close()
        assert solo_doubler.runs == [1] * 10
        assert set(owner.answers.values()) == {None}

    run(main)


def test_classes_do_not_share_runs_and_too_many_of_them_run_alone(run, doubler):
    async def main():
        owner = Owner(doubler, costs=LONG)
        for number in range(300):
            owner.submit(number, number, key=("shape", number % 100))
        await owner.answered()
        assert set(owner.answers.values()) == {None}
        for batch in owner.batches:
            assert len({request.key for request in batch.requests}) == 1
        known = [batch for batch in owner.batches if batch.requests[0].key[1] < 64]
        overflow = [batch for batch in owner.batches if batch.requests[0].key[1] >= 64]
        assert max(batch.rows for batch in known) == 3
        assert {batch.rows for batch in overflow} == {1}
        assert len(list(owner.scheduled.queues())) - 2 == 65
        owner.submit("later", 1, key="new")
        owner.submit("with it", 1, key="new")
        owner.done.clear()
        await owner.answered()
        assert owner.batches[-1].rows == 2, "an idle class makes room"
        await owner.scheduler.close()

    run(main)


def test_cancelled_while_waiting_is_never_run_and_never_answered(run, doubler):
    async def main():
        owner = Owner(doubler, costs=LONG)
        kept = owner.submit("kept", 1)
        gone = owner.submit("gone", 2)
        large = owner.submit("large", 3, rows=500)
        owner.expected -= 2
        assert owner.scheduler.cancel(gone)
        assert owner.scheduler.cancel(large)
        assert not owner.scheduler.cancel(gone)
        await owner.answered()
        assert not owner.scheduler.cancel(kept)
        await owner.scheduler.close()
        assert set(owner.answers) == {"kept"}
        assert sum(doubler.runs) == 1

    run(main)


def test_cancelled_while_running_reaches_the_sink_marked(run, doubler):
    async def main():
        doubler.gate = threading.Event()
        owner = Owner(doubler, costs=LONG)
        request = owner.submit("running", 1)
        await doubler.started(owner.loop)
        assert not owner.scheduler.cancel(request)
        doubler.gate.set()
        await owner.answered()
        await owner.scheduler.close()
        assert owner.batches[0].requests[0].cancelled

    run(main)


def test_a_deadline_is_answered_on_time_while_every_thread_is_busy(run, doubler):
    async def main():
        doubler.gate = threading.Event()
        owner = Owner(doubler, costs=LONG, threads=1)
        owner.submit("running", 1)
        await doubler.started(owner.loop)
        owner.submit("late", 2, deadline=time.perf_counter() + 0.5)
        owner.expected = 1
        await owner.answered()
        assert set(owner.answers) == {"late"}, "the thread is still busy"
        assert isinstance(owner.answers["late"], DeadlineExceeded)
        doubler.gate.set()
        await owner.scheduler.close()
        assert owner.answers["running"] is None

    run(main)


def test_a_thread_gets_work_before_anybody_is_refused(run, doubler):
    async def main():
        owner = Owner(doubler, BatchingOptions(slo_seconds=10.0), costs=LONG, threads=1)
        doubler.gate = threading.Event()
        owner.submit("running", 1)
        await doubler.started(owner.loop)
        hopeless = owner.submit("hopeless", 2)
        owner.submit("waiting", 3)
        hopeless.deadline = time.perf_counter()
        running = []
        sink = owner.scheduled.sink
        owner.scheduled.sink = lambda batch: (
            running.append(owner.scheduled.queue.running),
            sink(batch),
        )
        doubler.gate.set()
        await owner.answered()
        await owner.scheduler.close()
        assert isinstance(owner.answers["hopeless"], DeadlineExceeded)
        assert running[0] == 1, "the first to hear anything heard it while the next run went on"
        assert owner.answers["waiting"] is None

    run(main)


def test_a_full_queue_refuses_and_says_when_to_come_back(run, doubler):
    async def main():
        owner = Owner(doubler, BatchingOptions(max_queue_rows=10), costs=LONG)
        owner.submit("large", 1, rows=30)  # more than the queue holds, but nothing else waits
        with pytest.raises(Overloaded) as refusal:
            owner.submit("second", 2)
        assert refusal.value.reason == "queue_full"
        assert 0 < refusal.value.retry_after_seconds < 1
        await owner.answered()
        owner.scheduled.configure(BatchingOptions(max_queue_rows=100))
        for number in range(100):
            owner.submit(number, number)
        owner.done.clear()
        await owner.answered()
        await owner.scheduler.close()
        assert set(owner.answers) == {"large", *range(100)}

    run(main)


def test_options_change_while_requests_wait(run, doubler):
    async def main():
        owner = Owner(doubler, costs=LONG)
        for number in range(50):
            owner.submit(number, number)
        owner.scheduled.configure(BatchingOptions(max_batch_size=8))
        await owner.answered()
        await owner.scheduler.close()
        assert max(doubler.runs) <= 8

    run(main)


def test_unregistering_answers_what_there_is_and_refuses_the_rest(run, doubler):
    async def main():
        owner = Owner(doubler, costs=LONG)
        for number in range(300):
            owner.submit(number, number)
        leaving = asyncio.ensure_future(owner.scheduler.unregister(owner.scheduled))
        again = asyncio.ensure_future(owner.scheduler.unregister(owner.scheduled))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="draining"):
            owner.submit("more", 1)
        await asyncio.gather(leaving, again)
        assert len(owner.answers) == 300
        assert not owner.scheduler._models
        await owner.scheduler.close()

    run(main)


def test_an_abandoned_wait_for_unregistering_does_not_disturb_another(run, doubler):
    async def main():
        owner = Owner(doubler, costs=LONG)
        owner.submit("one", 1)
        first = asyncio.ensure_future(owner.scheduler.unregister(owner.scheduled))
        await asyncio.sleep(0)
        first.cancel()
        await owner.scheduler.close()
        assert owner.answers == {"one": None}

    run(main)


def test_close_stops_the_threads(run, doubler):
    async def main():
        owner = Owner(doubler, costs=LONG)
        owner.submit("one", 1)
        await owner.scheduler.close()
        assert owner.answers == {"one": None}
        assert not any(thread.is_alive() for thread in doubler.threads)

    run(main)


def test_a_sink_that_fails_is_reported_and_stops_nobody(run, doubler):
    async def main():
        owner = Owner(doubler, costs=TINY)
        problems = []
        owner.loop.set_exception_handler(lambda _, context: problems.append(context))
        sink = owner.scheduled.sink
        owner.scheduled.sink = lambda batch: 1 / 0
        owner.submit("lost", 1)
        await asyncio.sleep(0.01)
        owner.scheduled.sink = sink
        owner.expected = 1
        owner.submit("fine", 1)
        owner.expected = 1
        await owner.answered()
        await owner.scheduler.close()
        assert isinstance(problems[0]["exception"], ZeroDivisionError)
        assert owner.answers == {"fine": None}

    run(main)


def test_a_request_without_rows_is_an_error(run, doubler):
    async def main():
        owner = Owner(doubler)
        with pytest.raises(ValueError, match="at least one row, got 0"):
            owner.submit("empty", 1, rows=0)
        await owner.scheduler.close()

    run(main)


def test_nothing_keeps_the_tensors_of_an_answered_request_alive(run, doubler):
    async def main():
        owner = Owner(doubler, costs=LONG)
        request = owner.submit("one", 1)
        watch = weakref.ref(request.inputs[0])
        await owner.answered()
        owner.batches.clear()
        del request
        for _ in range(100):
            gc.collect()
            if watch() is None:
                break
            await asyncio.sleep(0.01)
        assert watch() is None
        await owner.scheduler.close()

    run(main)


def test_each_row_is_run_once_and_none_waits_when_all_are_answered(run, doubler):
    async def main():
        owner = Owner(doubler, costs=LONG)
        for number in range(30):
            owner.submit(number, number, rows=2)
        await owner.answered()
        assert sum(doubler.runs) == 60
        assert sum(len(batch.requests) for batch in owner.batches) == 30
        assert owner.scheduled.waiting_rows == 0
        await owner.scheduler.close()

    run(main)


def test_one_execution_thread_is_the_least():
    loop = asyncio.new_event_loop()
    with pytest.raises(ValueError, match="at least one execution thread"):
        Scheduler(loop, threads=0)
    loop.close()


def background(owner, name, value, rows=1):
    x = np.full((rows, 3), value, np.float32)
    request = InferenceRequest((x,), rows, ("y",), owner.clock(), context=name)
    owner.scheduler.submit_background(owner.scheduled, request)
    owner.expected += 1


def test_a_background_request_is_answered_before_its_version_is_unloaded(run, doubler):
    async def main():
        owner = Owner(doubler, costs=LONG, threads=1)
        doubler.gate = threading.Event()
        background(owner, "batch", 2, rows=200)
        await doubler.started(owner.loop)
        leaving = asyncio.ensure_future(owner.scheduler.unregister(owner.scheduled))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="draining"):
            background(owner, "late", 1)
        assert not leaving.done()
        doubler.gate.set()
        await leaving
        assert owner.answers == {"batch": None}
        assert not owner.scheduled.share.versions
        await owner.scheduler.close()

    run(main)


def test_a_request_of_a_person_goes_before_background_requests(run, doubler):
    async def main():
        owner = Owner(doubler, costs=LONG, threads=1)
        doubler.gate = threading.Event()
        background(owner, "batch", 2, rows=640)
        await doubler.started(owner.loop)
        owner.submit("online", 3)
        doubler.gate.set()
        await owner.answered()
        assert list(owner.answers) == ["online", "batch"]
        assert doubler.runs[1] == 1, "it was next"
        await owner.scheduler.close()

    run(main)


def test_options_of_a_version_are_those_of_its_background_requests(run, doubler):
    async def main():
        owner = Owner(doubler, costs=TINY, threads=1)
        background(owner, "batch", 2)
        owner.scheduled.configure(BatchingOptions(max_batch_size=8, slo_seconds=0.1))
        options = owner.scheduled.background.options
        assert (options.background, options.max_batch_size) == (True, 8)
        assert options.slo_seconds == float("inf")
        background(owner, "more", 2, rows=16)
        await owner.answered()
        assert max(doubler.runs) <= 8
        await owner.scheduler.close()

    run(main)
