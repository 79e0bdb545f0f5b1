"""The batcher's door: register models, submit requests, get batches back."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Final

from .admission import admit, check_room
from .dispatcher import Dispatcher
from .errors import Overloaded
from .executor import Executor, ThreadExecutor
from .policy import can_run_inline
from .scheduled_model import Queue, ScheduledModel, Share
from .scheduler_state import SchedulerState
from .split_request import SplitRequest
from .statistics import SchedulerStats, servable_stats

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
        longest_nap: float = 0.0,
        marks: RunMarks | None = None,
    ) -> None:
        """Start without models.

        Args:
            loop: Where everything but the runs happens.
            threads: Execution threads, at least one.
            clock: Monotonic seconds; requests carry times of the same clock.
            inline_seconds: Runs predicted to be no longer stay on the loop; 0 for none.
            executor: What makes the execution threads.
            longest_nap: Seconds that the loop may look away while all threads run; 0 for none.
            marks: Where the runs on the loop are written; `executor` has its own for the threads.

        Raises:
            ValueError: There is not at least one thread.
        """
        if threads < 1:
            raise ValueError(f"at least one execution thread is needed, got {threads}")
        self._loop = loop
        self._clock = clock
        self._board = SchedulerState(threads, inline_seconds)
        self._dispatcher = Dispatcher(loop, self._board, clock, executor, longest_nap, marks)
        self._servables: list[ScheduledModel] = []

    def register(
        self,
        name: str,
        version: str,
        model: Model,
        options: BatchingOptions,
        sink: Callable[[Batch], None],
        costs: CostTable | None = None,
    ) -> ScheduledModel:
        """Make a loaded version servable.

        ``sink`` is called on the loop with every finished batch. Without ``costs`` (see
        `calibration.measure_costs`) the first runs go to a thread and are learned from.
        """
        board = self._board
        share = board.shares.setdefault(name, Share())
        servable = ScheduledModel(name, version, model, options, sink, costs, share, board.survey)
        self._servables.append(servable)
        return servable

    async def unregister(self, servable: ScheduledModel) -> None:
        """Refuse further requests of the servable and wait until it has answered all it has."""
        servable.draining = servable.special = True
        if not servable.idle:
            if servable.drained is None:
                servable.drained = self._loop.create_future()
            await asyncio.shield(servable.drained)  # others may wait for it, too
        if servable in self._servables:
            self._servables.remove(servable)
            servable.leave()
            if not servable.share.servables:
                del self._board.shares[servable.name]

    async def close(self) -> None:
        """Refuse further requests, answer all that wait, stop the threads."""
        for servable in self._servables:
            servable.draining = servable.special = True
        for servable in list(self._servables):
            await self.unregister(servable)
        self._dispatcher.close()

    def abandon(self) -> None:
        """Stop the threads without an event loop: the one that this ran on is closed."""
        self._dispatcher.close()

    def submit(self, servable: ScheduledModel, request: InferenceRequest) -> None:
        """Queue a request; its answer arrives at the servable's sink.

        Raises:
            Overloaded: It was refused; see `Overloaded.reason`.
            ValueError: It has no rows.
        """
        queue = servable.queue if request.key is None else servable.queue_for(request.key)
        rows = request.rows
        if (
            servable.special
            or request.deadline < math.inf
            or not 0 < rows <= queue.costs.max_rows
            or servable.waiting_rows + rows > servable.limit
        ):
            if servable.options.background:
                self._make_room(servable, rows)
            admit(servable, queue, request, self._board, self._clock())
            if rows > queue.costs.max_rows:
                whole = SplitRequest(servable, request, queue.costs.max_rows)
                request.queue = whole
                for part in whole.parts:
                    self._enqueue(servable.oversize, part)
                return
        self._enqueue(queue, request)

    def run_now(self, servable: ScheduledModel, request: InferenceRequest) -> Batch | None:
        """Run a request on the loop if it would be next and its run is shorter than a hop.

        What `submit` and `dispatch` would do, without the queue between them.

        Args:
            servable: What runs it.
            request: Without a deadline or a key of its own.

        Returns:
            The finished batch, which does not go to the sink; ``None`` if the request has not run
            and is to be submitted.
        """
        queue = servable.queue
        seconds = can_run_inline(queue, self._board, request.rows)
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
        servable = waiting.servable
        servable.cancelled += 1
        waiting.discard(request)
        self._dispatcher.delivery.sweep()
        servable.check_drained()
        return True

    def on_slot(self, bring: Callable[[], object]) -> None:
        """Have this called when a run has ended, before the next is chosen.

        Args:
            bring: Submits what its owner has gathered.
        """
        self._dispatcher.bring = bring

    def begin_tick(self) -> None:
        """An iteration of the loop has brought requests; `dispatch` has to follow."""
        self._dispatcher.begin_tick()
        self._dispatcher.flushing = True

    def dispatch(self) -> None:
        """Start what was submitted since `begin_tick`, now and not at the end of the iteration."""
        if self._board.active:
            self._dispatcher.flush()
        else:
            self._dispatcher.flushing = False

    def check_room(self, servable: ScheduledModel, arrival: float) -> None:
        """Whether a request of one row would be let in: asked before its body is read.

        Raises:
            Overloaded: It would be refused.
        """
        if servable.options.slo_seconds < math.inf:
            deadline = self._board.arrived(arrival) + servable.options.slo_seconds
            check_room(servable.queue, 1, deadline, self._board, self._clock())

    def short_rows(self, servable: ScheduledModel) -> int:
        """Most rows worth running together on the event loop; see `ScheduledModel.short_rows`."""
        return servable.short_rows(self._board.inline_limit)

    def stats(self) -> SchedulerStats:
        """Counters and state, for a scrape."""
        board = self._board
        return SchedulerStats(
            threads=board.threads,
            busy_threads=board.threads - board.free,
            utilisation=board.utilisation,
            answer_seconds=board.answer_seconds,
            servables={(s.name, s.version): servable_stats(s, board) for s in self._servables},
        )

    def _enqueue(self, queue: Queue, request: InferenceRequest) -> None:
        requests = queue.requests
        servable = queue.servable
        if not requests:
            board = self._board
            board.active.append(queue)
            share = servable.share
            share.virtual_time = max(share.virtual_time, board.virtual_time)
            servable.virtual_time = max(servable.virtual_time, share.floor)
        requests.append(request)
        request.queue = queue
        queue.rows += request.rows
        servable.waiting_rows += request.rows
        if request.deadline < math.inf:
            queue.bounded = True
        dispatcher = self._dispatcher
        if not dispatcher.flushing:
            dispatcher.flushing = True
            self._loop.call_soon(dispatcher.flush)

    def _make_room(self, servable: ScheduledModel, rows: int) -> None:
        """Shadow traffic loses its oldest requests rather than its newest."""
        while servable.waiting_rows and (
            servable.waiting_rows + rows > servable.options.max_queue_rows
        ):
            waiting = [queue for queue in servable.queues() if queue.requests]
            oldest = min(waiting, key=lambda queue: queue.requests[0].arrival)
            self._dispatcher.delivery.drop(oldest, 1, Overloaded(0.0, "replaced"))
        self._dispatcher.delivery.refuse()
