"""The batcher on an event loop: carries out what `policy.decide` says, and nothing else."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

from .errors import DeadlineExceeded, Overloaded
from .execution import execute
from .executor import Executor, ThreadExecutor
from .oversize import Part, Whole
from .policy import Board, Drop, Run, Wait, decide, seconds_per_row
from .request import Batch
from .servable import Servable, Share
from .statistics import SchedulerStats, servable_stats

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from penstock.runtimes.contract import Model

    from .cost import CostTable
    from .options import BatchingOptions
    from .queue import BatchQueue
    from .request import InferenceRequest

#: Longest predicted run on the event loop: about two thread hops.
INLINE_SECONDS: Final = 100e-6
#: Execution time one iteration of the event loop may spend.
TICK_SECONDS: Final = 500e-6
#: Time constant of the utilisation.
UTILISATION_SECONDS: Final = 0.1
#: A timer is never shorter; keeps rounding from turning it into a spin.
LEAST_TIMER_SECONDS: Final = 1e-4
#: A step of the 95th percentile of the time from a run's end to its answer.
ANSWER_STEP: Final = 0.05


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
    ) -> None:
        """`clock` is monotonic seconds; requests carry times of the same clock.

        Raises:
            ValueError: There is not at least one thread.
        """
        if threads < 1:
            raise ValueError(f"at least one execution thread is needed, got {threads}")
        self._loop = loop
        self._clock = clock
        self._board = Board(threads, inline_seconds)
        self._executor = executor(loop, threads, self._done, clock)
        self._flushing = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self._tallied_at = 0.0
        self._long_runs: set[Batch] = set()
        self._servables: list[Servable] = []

    # -- the owner's side ------------------------------------------------------------------------

    def register(
        self,
        name: str,
        version: str,
        model: Model,
        options: BatchingOptions,
        sink: Callable[[Batch], None],
        costs: CostTable | None = None,
    ) -> Servable:
        """Make a loaded version servable.

        `sink` is called on the loop with every finished batch. Without `costs` (see
        `calibration.measure_costs`) the first runs go to a thread and are learned from.
        """
        share = self._board.shares.setdefault(name, Share())
        servable = Servable(
            name, version, model, options, sink, costs, share, self._find_least_patience
        )
        self._servables.append(servable)
        return servable

    def _find_least_patience(self) -> None:
        shares = self._board.shares.values()
        self._board.least_patience = min((s.patience_seconds for s in shares), default=math.inf)

    async def unregister(self, servable: Servable) -> None:
        """Refuse further requests of the servable and wait until it has answered all it has."""
        servable.draining = servable.special = True
        if not servable.idle:
            if servable.drained is None:
                servable.drained = self._loop.create_future()
            await servable.drained
        if servable in self._servables:
            self._servables.remove(servable)
            share = servable.share
            share.servables.remove(servable)
            if not share.servables:
                self._board.shares.pop(servable.name, None)

    async def close(self) -> None:
        """Drain everything and stop the threads."""
        for servable in self._servables:
            servable.draining = servable.special = True
        for servable in list(self._servables):
            await self.unregister(servable)
        if self._timer is not None:
            self._timer.cancel()
        self._executor.close()

    def submit(self, servable: Servable, request: InferenceRequest) -> None:
        """Queue a request; its answer arrives at the servable's sink.

        Raises:
            Overloaded: It was refused; see `Overloaded.reason`.
        """
        queue = servable.queue if request.key is None else servable.queue_for(request.key)
        rows = request.rows
        if (
            servable.special
            or request.deadline < math.inf
            or not 0 < rows <= queue.costs.max_rows
            or servable.waiting_rows + rows > servable.limit
        ):
            self._admit(servable, queue, request)
            if rows > queue.costs.max_rows:
                whole = Whole(request, queue.costs.max_rows)
                request.queue = whole
                for part in whole.parts:
                    self._enqueue(servable.oversize, part)
                return
        self._enqueue(queue, request)

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
        waiting.discard(request)
        active = self._board.active
        for queue in [queue for queue in active if not queue.requests]:
            active.remove(queue)
            queue.servable.cancelled += 1
            self._check_drained(queue.servable)
        return True

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

    # -- the queue's side ------------------------------------------------------------------------

    def _enqueue(self, queue: BatchQueue, request: InferenceRequest) -> None:
        requests = queue.requests
        servable = queue.servable
        if not requests:
            share = servable.share
            self._board.active.append(queue)
            share.virtual_time = max(share.virtual_time, self._board.virtual_time)
            servable.virtual_time = max(servable.virtual_time, share.floor)
        requests.append(request)
        request.queue = queue
        queue.rows += request.rows
        servable.waiting_rows += request.rows
        if request.deadline < math.inf:
            queue.bounded = True
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _admit(self, servable: Servable, queue: BatchQueue, request: InferenceRequest) -> None:
        """Look closer at a request that is not of the plain kind."""
        options = servable.options
        if servable.draining:
            raise self._refusal(servable, "draining", 1.0)
        if request.rows < 1:
            raise ValueError(f"a request needs at least one row, got {request.rows}")
        request.deadline = min(request.deadline, request.arrival + options.slo_seconds)
        waiting = servable.waiting_rows
        if waiting + request.rows > servable.limit and waiting:
            self._reckon(servable)
            if waiting + request.rows > options.max_queue_rows and options.background:
                self._drop(queue, 1, Overloaded(0.0, "replaced"), self._clock())
            elif waiting + request.rows > servable.limit:
                full = waiting + request.rows > options.max_queue_rows
                raise self._refusal(servable, "queue_full" if full else "queue_time")
        if waiting and request.deadline < math.inf:
            wait = waiting * servable.seconds_per_row
            costs = queue.costs
            run = costs.seconds[min(request.rows, costs.max_rows)] * costs.margin
            if self._clock() + wait + run > request.deadline:
                raise self._refusal(servable, "queue_time")

    def _refusal(self, servable: Servable, reason: str, seconds: float = 0.0) -> Overloaded:
        servable.rejected[reason] += 1
        return Overloaded(seconds or servable.waiting_rows * servable.seconds_per_row, reason)

    def _reckon(self, servable: Servable) -> None:
        """Work out what the present backlog means for further requests."""
        options = servable.options
        servable.seconds_per_row = per_row = seconds_per_row(servable, self._board)
        servable.limit = min(options.max_queue_rows, max(1.0, options.patience_seconds / per_row))

    # -- the loop's side -------------------------------------------------------------------------

    def _flush(self) -> None:
        self._flushing = False
        self._dispatch("tick")

    def _on_timer(self) -> None:
        self._timer = None
        self._timer_at = math.inf
        self._dispatch("timer")

    def _dispatch(self, cause: str) -> None:
        """Do what the policy says until it says to wait."""
        board = self._board
        board.inline_left = TICK_SECONDS
        if board.utilisation:
            self._tally(self._clock())
        while board.active:
            now = self._clock()
            step = decide(board, now)
            if isinstance(step, Run):
                self._run(step, now, cause)
            elif isinstance(step, Drop):
                error = DeadlineExceeded() if step.late else Overloaded(0.0, "early_drop")
                self._drop(step.queue, step.heads, error, now)
            else:
                self._rest(step, now)
                return

    def _run(self, step: Run, now: float, cause: str) -> None:
        queue = step.queue
        servable = queue.servable
        share = servable.share
        board = self._board
        batch = Batch(queue.take(step.rows), now, queue, step.seconds)
        if not queue.requests:
            board.active.remove(queue)
        board.virtual_time = max(board.virtual_time, share.virtual_time)
        share.floor = max(share.floor, servable.virtual_time)
        servable.batches[cause] += 1
        if step.inline:
            parts = execute(batch, servable.model, self._clock)
            servable.inline_batches += 1
            self._account(batch, parts, 0.0)
            board.inline_left -= batch.finished_at - now
            self._answer(servable, batch, parts)
            return
        self._tally(now)
        board.free -= 1
        queue.running += 1
        servable.thread_batches += 1
        self._charge(servable, batch.charge)
        if step.long:
            self._long_runs.add(batch)
            board.long_runs = len(self._long_runs)
        self._executor.start(batch, servable.model)

    def _done(self, batch: Batch, parts: list[Batch] | None) -> None:
        """An execution thread has finished: give it work first, then answer."""
        queue = batch.queue
        assert queue is not None
        board = self._board
        self._tally(self._clock())
        board.free += 1
        queue.running -= 1
        if self._long_runs:
            self._long_runs.discard(batch)
            board.long_runs = len(self._long_runs)
        self._account(batch, parts, batch.charge)
        if board.active:
            self._dispatch("slot")
        self._answer(queue.servable, batch, parts)

    def _account(self, batch: Batch, parts: list[Batch] | None, charged: float) -> None:
        """Learn from a run and charge its model for it."""
        queue = batch.queue
        assert queue is not None
        servable = queue.servable
        if parts is not None:
            batch.finished_at = parts[-1].finished_at
        seconds = batch.finished_at - batch.started_at
        if parts is None and batch.error is None:
            queue.costs.observe(batch.rows, seconds)
        servable.requests += len(batch.requests)
        servable.rows += batch.rows
        servable.execution_seconds += seconds
        servable.share.last_active = batch.finished_at
        self._charge(servable, seconds - charged)

    def _charge(self, servable: Servable, seconds: float) -> None:
        received = seconds / servable.options.weight
        servable.share.virtual_time += received
        servable.virtual_time += received

    def _answer(self, servable: Servable, batch: Batch, parts: list[Batch] | None) -> None:
        """Hand the finished batch, or what it was split into, to the owner."""
        for finished in parts or (batch,):
            if finished.error is not None:
                servable.failed += len(finished.requests)
            self._deliver(servable, finished)
        if servable.special:
            self._learn_answer_seconds(self._clock() - batch.finished_at)
        if servable.drained is not None:
            self._check_drained(servable)

    def _deliver(self, servable: Servable, batch: Batch) -> None:
        first = batch.requests[0]
        if isinstance(first, Part):
            whole = first.whole.finish(first, batch)
            self._sweep()
            if whole is None:
                return
            batch = whole
        for request in batch.requests:
            request.queue = None
        try:
            servable.sink(batch)
        except Exception as error:  # noqa: BLE001  a broken sink must not stop the others' answers
            context = {"message": f"the sink of model {servable.name!r} failed", "exception": error}
            self._loop.call_exception_handler(context)

    def _drop(self, queue: BatchQueue, count: int, error: Exception, now: float) -> None:
        """Answer no to the head of a queue."""
        servable = queue.servable
        if isinstance(error, Overloaded):
            self._reckon(servable)
            wait = servable.waiting_rows * servable.seconds_per_row
            error = Overloaded(wait, error.reason)
        dropped = queue.drop(count)
        if not queue.requests:
            self._board.active.remove(queue)
        reason = error.reason if isinstance(error, Overloaded) else "deadline"
        servable.dropped[reason] += len(dropped)
        for request in dropped:
            batch = Batch([request], now)
            batch.error = error
            self._deliver(servable, batch)
        self._check_drained(servable)

    def _sweep(self) -> None:
        active = self._board.active
        active[:] = [queue for queue in active if queue.requests]

    def _check_drained(self, servable: Servable) -> None:
        drained = servable.drained
        if drained is not None and not drained.done() and servable.idle:
            drained.set_result(None)

    def _rest(self, wait: Wait, now: float) -> None:
        """Nothing can be started: see to the door, the next tick and the timer."""
        for queue in self._board.active:
            self._reckon(queue.servable)
        if wait.next_tick and not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)
        if wait.until < self._timer_at - LEAST_TIMER_SECONDS:
            if self._timer is not None:
                self._timer.cancel()
            delay = max(wait.until - now, LEAST_TIMER_SECONDS)
            self._timer_at = now + delay
            self._timer = self._loop.call_later(delay, self._on_timer)

    def _learn_answer_seconds(self, seconds: float) -> None:
        """Follow the 95th percentile."""
        board = self._board
        step = ANSWER_STEP * board.answer_seconds
        above = seconds > board.answer_seconds
        board.answer_seconds = max(1e-6, board.answer_seconds + step * (0.95 if above else -0.05))

    def _tally(self, now: float) -> None:
        """Bring the utilisation up to the moment before something changes."""
        board = self._board
        busy = 1 - board.free / board.threads
        fade = math.exp((self._tallied_at - now) / UTILISATION_SECONDS)
        board.utilisation = busy + (board.utilisation - busy) * fade
        if board.utilisation < 1e-3:  # noqa: PLR2004  nothing
            board.utilisation = 0.0
        self._tallied_at = now
