"""The interface of the batcher: register models, submit requests, get batches back."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Final

from .admission import admit, check_room
from .background import background_of, make_room, run_rows
from .executor import Executor, ThreadExecutor
from .instance_group import InstanceGroup
from .policy import can_run_inline
from .scheduled_model import FairShare, Queue, ScheduledModel
from .split_request import SplitRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.runtimes.contract import Model

    from .cost import CostTable
    from .marks import RunMarks
    from .options import BatchingOptions
    from .request import Batch, InferenceRequest

#: Longest predicted run on the event loop: about two thread hops.
INLINE_SECONDS: Final = 100e-6


class Scheduler:
    """Queues, runs and answers requests of many models on one event loop and a few threads.

    Not thread-safe: every method belongs on the loop.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        threads: int,
        clock: Callable[[], float] = time.perf_counter,
        inline_seconds: float = INLINE_SECONDS,
        executor: Callable[..., Executor] = ThreadExecutor,
        marks: RunMarks | None = None,
    ) -> None:
        """Start without models.

        Args:
            loop: The event loop of everything but the runs.
            threads: Execution threads, at least one.
            clock: Monotonic seconds; requests carry times of the same clock.
            inline_seconds: Runs predicted to be no longer stay on the loop; 0 for none.
            executor: Makes the execution threads.
            marks: Holds the runs on the loop; `executor` has its own for the threads.

        Raises:
            ValueError: There is not at least one thread.
        """
        if threads < 1:
            raise ValueError(f"at least one execution thread is needed, got {threads}")
        self._loop = loop
        self._clock = clock
        self._shared = InstanceGroup(
            loop,
            threads,
            clock,
            executor,
            inline_seconds=inline_seconds,
            marks=marks,
        )
        self._state, self._dispatcher = self._shared.state, self._shared.dispatcher
        self._models: list[ScheduledModel] = []

    def register(
        self,
        name: str,
        version: str,
        model: Model,
        options: BatchingOptions,
        sink: Callable[[Batch], None],
        costs: CostTable | None = None,
        *,
        instances: int = 0,
    ) -> ScheduledModel:
        """Make a loaded version servable.

        Args:
            name: Name of the model.
            version: Name of the version.
            model: The loaded model that runs its batches.
            options: Bounds and wishes of its batches.
            sink: Called on the loop with every finished batch.
            costs: Run times (see `calibration.measure_costs`); without them the first runs go to a
                thread and are learned from.
            instances: Threads of its own that its runs take; 0 for those that all models share.
        """
        group = self._shared
        if instances:
            group = InstanceGroup(self._loop, instances, self._clock, ThreadExecutor)
        state = group.state
        share = state.shares.setdefault(name, FairShare())
        scheduled = ScheduledModel(
            name, version, model, options, sink, costs, share, state.update_least_delay
        )
        scheduled.group = group
        self._models.append(scheduled)
        return scheduled

    async def unregister(self, scheduled: ScheduledModel) -> None:
        """Refuse further requests of the servable and wait until it has answered all it has."""
        scheduled.draining = scheduled.needs_admission_check = True
        if scheduled.background is not None:
            await self.unregister(scheduled.background)
        if not scheduled.idle:
            if scheduled.drained is None:
                scheduled.drained = self._loop.create_future()
            await asyncio.shield(scheduled.drained)  # others may wait for it, too
        if scheduled in self._models:
            self._models.remove(scheduled)
            scheduled.leave()
            group = scheduled.group
            if not scheduled.share.versions:
                del group.state.shares[scheduled.name]
            if group is not self._shared and not scheduled.share.versions:
                group.dispatcher.close()

    async def close(self) -> None:
        """Refuse further requests, answer all that wait, stop the threads."""
        composites = [one for one in self._models if one.composite is not None]
        for models in (composites, list(self._models)):  # the others answer what composites ask
            for scheduled in models:
                scheduled.draining = scheduled.needs_admission_check = True
            for scheduled in models:
                await self.unregister(scheduled)
        self._dispatcher.close()

    def abandon(self) -> None:
        """Stop the threads after the event loop was closed."""
        for group in {self._shared, *(scheduled.group for scheduled in self._models)}:
            group.dispatcher.close()

    def submit(self, scheduled: ScheduledModel, request: InferenceRequest) -> None:
        """Queue a request; its answer arrives at the servable's sink.

        Raises:
            Overloaded: It was refused; see `Overloaded.reason`.
            ValueError: It has no rows.
        """
        queue = scheduled.queue if request.key is None else scheduled.queue_for(request.key)
        rows = request.rows
        if (
            scheduled.needs_admission_check
            or request.deadline < math.inf
            or not 0 < rows <= queue.costs.max_rows
            or scheduled.waiting_rows + rows > scheduled.limit
        ):
            if scheduled.composite is not None:
                admit(scheduled, queue, request, self._state, self._clock())
                scheduled.composite.begin(request)
                return
            state, now, most = scheduled.group.state, self._clock(), queue.costs.max_rows
            if scheduled.options.background:
                make_room(scheduled, rows)
                most = run_rows(queue, state, now)
            admit(scheduled, queue, request, state, now)
            if rows > most:
                whole = SplitRequest(scheduled, request, most)
                request.queue = whole
                for part in whole.chunks:
                    self._enqueue(scheduled.oversize, part)
                return
        self._enqueue(queue, request)

    def submit_background(self, scheduled: ScheduledModel, request: InferenceRequest) -> None:
        """Queue a request that may wait until nobody else wants the threads; as `submit`."""
        background = background_of(scheduled)
        if background is not scheduled and background not in self._models:
            self._models.append(background)
        self.submit(background, request)

    def run_now(self, scheduled: ScheduledModel, request: InferenceRequest) -> Batch | None:
        """Run a request on the loop if it would be next and its run is shorter than a hop.

        It has the effect of `submit` and `dispatch`, without the queue between them.

        Args:
            scheduled: The version that runs it.
            request: Without a deadline or a key of its own.

        Returns:
            The finished batch, which does not go to the sink; ``None`` if the request has not run
            and is to be submitted.
        """
        queue = scheduled.queue
        seconds = can_run_inline(queue, scheduled.group.state, request.rows)
        return None if seconds is None else self._dispatcher.run_alone(queue, request, seconds)

    def cancel(self, request: InferenceRequest) -> bool:
        """Withdraw a request: one that waits is never executed and never reaches the sink.

        One that already runs reaches the sink, with `InferenceRequest.cancelled` set.

        Returns:
            Whether it was withdrawn, so that the sink will not see it.
        """
        request.cancelled = True
        waiting = request.queue
        if waiting is None:
            return False
        scheduled = waiting.owner
        waiting.discard(request)
        scheduled.group.dispatcher.delivery.sweep()
        scheduled.check_drained()
        return True

    def deliver(self, scheduled: ScheduledModel, batch: Batch) -> None:
        """Hand over the answer to a request that a composite has begun; it waits no more."""
        self._dispatcher.delivery.deliver(scheduled, batch)
        scheduled.check_drained()

    def on_slot(self, before_dispatch: Callable[[], object]) -> None:
        """Set a function to be called when a run has ended, before the next is chosen.

        Args:
            before_dispatch: Submits the requests that its owner has gathered.
        """
        self._dispatcher.before_dispatch = before_dispatch

    def begin_tick(self) -> None:
        """An iteration of the loop has brought requests; `dispatch` has to follow."""
        self._dispatcher.begin_tick()
        self._dispatcher.flushing = True

    def dispatch(self) -> None:
        """Start the requests submitted since `begin_tick` now, not at the end of the iteration."""
        if self._state.active:
            self._dispatcher.flush()
        else:
            self._dispatcher.flushing = False

    def check_room(self, scheduled: ScheduledModel, arrival: float) -> None:
        """Whether a request of one row would be let in: asked before its body is read.

        Raises:
            Overloaded: It would be refused.
        """
        if scheduled.options.slo_seconds < math.inf:
            deadline = arrival + scheduled.options.slo_seconds
            state = scheduled.group.state
            check_room(scheduled.queue, 1, deadline, state, self._clock())

    def short_rows(self, scheduled: ScheduledModel) -> int:
        """Most rows worth running together on the event loop; see `ScheduledModel.short_rows`."""
        return scheduled.short_rows(scheduled.group.state.inline_limit)

    def _enqueue(self, queue: Queue, request: InferenceRequest) -> None:
        requests = queue.requests
        scheduled = queue.owner
        group = scheduled.group
        if not requests:
            state = group.state
            state.active.append(queue)
            share = scheduled.share
            share.virtual_time = max(share.virtual_time, state.virtual_time)
            scheduled.virtual_time = max(scheduled.virtual_time, share.floor)
        requests.append(request)
        request.queue = queue
        queue.rows += request.rows
        scheduled.waiting_rows += request.rows
        if request.deadline < math.inf:
            queue.bounded = True
        dispatcher = group.dispatcher
        if not dispatcher.flushing:
            dispatcher.flushing = True
            self._loop.call_soon(dispatcher.flush)
