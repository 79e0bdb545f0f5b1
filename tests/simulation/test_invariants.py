"""What must hold in every situation, checked at every step of random ones."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

from hypothesis import example, given, settings
from hypothesis import strategies as st
from simulator import Simulation, linear, poisson, tensors

from penstock.batching.errors import Overloaded
from penstock.batching.options import BatchingOptions
from penstock.batching.policy import BLOCKING_PART
from penstock.batching.request import InferenceRequest


@dataclass(frozen=True)
class Load:
    """One model and what is asked of it."""

    base_seconds: float
    row_seconds: float
    options: BatchingOptions
    load: float
    most_rows: int
    deadline: float
    keys: int
    believed: float | None
    cancelled: int
    """Every so many-th request is withdrawn when the next one arrives; 0 for none."""


loads = st.builds(
    Load,
    base_seconds=st.sampled_from([2e-6, 50e-6, 1e-3]),
    row_seconds=st.sampled_from([1e-6, 50e-6, 300e-6]),
    options=st.builds(
        BatchingOptions,
        max_batch_size=st.sampled_from([1, 4, 32]),
        max_queue_rows=st.sampled_from([1, 40, 4096]),
        slo_seconds=st.sampled_from([math.inf, math.inf, 0.02, 0.1]),
        weight=st.sampled_from([0.5, 1.0, 4.0]),
        priority=st.integers(0, 2),
        background=st.sampled_from([False, False, True]),
    ),
    load=st.sampled_from([0.1, 0.8, 3.0]),
    most_rows=st.sampled_from([1, 3, 50]),
    deadline=st.sampled_from([math.inf, math.inf, 0.01]),
    keys=st.integers(0, 3),
    believed=st.sampled_from([1.0, 0.5, None]),
    cancelled=st.sampled_from([0, 5]),
)


class Watched(Simulation):
    """Checks every start of a run and every end of a dispatch."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self.dispatcher = self.scheduler._dispatcher
        self.accepted: dict[int, InferenceRequest] = {}
        self.withdrawn: set[int] = set()
        self.taken: dict[object, list[int]] = defaultdict(list)
        self.formed: list[object] = []
        run, dispatch = self.dispatcher._run, self.dispatcher._dispatch

        def checked_run(step, now):
            self.check_run(step, now)
            run(step, now)

        def checked_dispatch():
            dispatch()
            self.check_rest()

        self.dispatcher._run = checked_run
        self.dispatcher._dispatch = checked_dispatch

    def check_run(self, step, now):
        state = self.scheduler._state
        queue = step.queue
        costs = queue.costs
        waiting = [request for request in queue.requests if not request.cancelled]
        total = 0
        for index, request in enumerate(waiting):
            if index and (total + request.rows > step.rows or queue.solo):
                break
            total += request.rows
            assert request.queue is queue
            self.taken[queue].append(request.context)
            fits = now + costs.margin * costs.seconds[total] + state.answer_seconds
            assert fits <= request.deadline + 1e-9, "I5: it cannot be answered in time"
        assert total <= queue.owner.options.max_batch_size, "I4: more rows than allowed"

    def check_rest(self):
        """I3: a thread is idle only if what waits is background work or would block others.

        Runs shorter than a hop to a thread go on in the next iteration of the loop, if that is
        already on its way.
        """
        state = self.scheduler._state
        if not state.free:
            return
        for queue in state.active:
            blocking = queue.costs.seconds[queue.requests[0].rows]
            if self.scheduler._dispatcher.flushing and (
                blocking * queue.costs.margin <= state.inline_limit
            ):
                continue
            assert queue.owner.options.background or (
                blocking > BLOCKING_PART * state.least_tolerable_delay and state.long_runs
            ), "I3: a thread is free and a request waits"

    def answer(self, outcome, batch):
        super().answer(outcome, batch)
        assert batch.formed_at <= batch.started_at <= batch.finished_at <= self.loop.now + 1e-12
        assert list(batch.offsets)[-1] == batch.rows == sum(r.rows for r in batch.requests)
        assert len({request.key for request in batch.requests}) == 1, "I4: one class per run"


ONE_ROW = BatchingOptions(max_batch_size=1, max_queue_rows=1, weight=0.5)


@settings(max_examples=150, deadline=None)
@given(st.lists(loads, min_size=1, max_size=3), st.integers(1, 3), st.integers(0, 1000))
@example(  # runs get longer than a hop while the loop's share of a tick is used up
    [Load(5e-05, 5e-05, ONE_ROW, load, 50, math.inf, 0, 0.5, 0) for load in (0.8, 3.0)], 1, 23
)
def test_every_accepted_request_ends_once_in_order_in_time_and_nothing_idles(cases, threads, seed):
    simulation = Watched(threads)
    arrivals = []
    for number, case in enumerate(cases):
        cost = linear(case.base_seconds, case.row_seconds)
        scheduled = simulation.add(f"m{number}", cost, case.options, believed=case.believed)
        rows = case.options.max_batch_size
        rate = case.load * threads * rows / cost(rows) / case.most_rows
        for index, time in enumerate(poisson(rate, 120, seed + number)):
            arrivals.append((float(time), number, index, scheduled, case))
    arrivals.sort(key=lambda arrival: arrival[:3])
    scheduler = simulation.scheduler
    previous = {}
    refusals = []

    def submit(time, number, index, scheduled, case):
        rows = 1 + (index * 7 + seed) % case.most_rows
        request = InferenceRequest(
            tensors(rows),
            rows,
            (),
            time,
            key=(index % case.keys) if case.keys else None,
            deadline=time + case.deadline,
            context=(number, index),
        )
        if case.cancelled and index % case.cancelled == 0 and number in previous:
            old = previous[number]
            if scheduler.cancel(old):
                simulation.withdrawn.add(id(old))
        try:
            scheduler.submit(scheduled, request)
        except Overloaded as error:
            refusals.append(error.retry_after_seconds)
            return
        previous[number] = request
        simulation.accepted[id(request)] = request

    for arrival in arrivals:
        simulation.loop.call_at(arrival[0], submit, *arrival)
    simulation.run()  # I11: comes to an end, so nothing polls

    for key, request in simulation.accepted.items():
        expected = 0 if key in simulation.withdrawn else 1
        assert simulation.ended[key] == expected, f"I1: {request.context}"
    for contexts in simulation.taken.values():
        whole = [context for context in contexts if context is not None]
        assert whole == sorted(whole), "I2: first in, first out"
    assert all(0 <= seconds < math.inf for seconds in refusals)
    state = scheduler._state
    assert state.free == threads
    assert not state.active
    assert all(scheduled.waiting_rows == 0 for scheduled in scheduler._models)


@settings(max_examples=20, deadline=None)
@given(loads)
def test_nothing_is_scheduled_once_all_is_answered(case):
    """I11: no timer stays behind, and without deadlines there never was one."""
    simulation = Simulation(1)
    cost = linear(case.base_seconds, case.row_seconds)
    scheduled = simulation.add("m", cost, case.options, believed=case.believed)
    times = poisson(case.load / cost(1), 50)
    simulation.arrive(scheduled, times, deadline=lambda _: case.deadline)
    simulation.run()
    if case.deadline == case.options.slo_seconds == math.inf:
        assert simulation.loop.timers == 0
    handle = simulation.scheduler._dispatcher._timer
    assert handle is None
