"""The batcher on an event loop: carries out what `policy.consider` says, and nothing else."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from .admission import Backlog, predicted_wait, reckon
from .errors import DeadlineExceeded, Overloaded
from .execution import execute
from .nap import Nap
from .oversize import Part
from .policy import Drop, Run, Wait, consider, wake_at
from .ranking import by_urgency
from .request import Batch

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from .board import Board
    from .executor import Executor
    from .request import InferenceRequest
    from .servable import Queue, Servable

#: Execution time that one iteration of the event loop may spend.
TICK_SECONDS: Final = 500e-6
#: A timer is never shorter, so that those who have to be given up are told together.
LEAST_TIMER_SECONDS: Final = 1e-3


class Dispatcher:
    """Starts runs and delivers answers.

    It is woken at the end of an iteration of the loop in which a request was queued, by every
    finished run, and by one timer while a waiting deadline may have to be given up.

    Attributes:
        flushing: `flush` is going to be called.
        bring: Called before the next run is chosen, so that nobody misses it who has been read but
            not submitted.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        board: Board,
        clock: Callable[[], float],
        executor: Callable[..., Executor],
        longest_nap: float,
    ) -> None:
        self._loop = loop
        self._board = board
        self._clock = clock
        self._executor = executor(loop, board.threads, self._done, clock)
        self._nap = Nap(loop, board, clock, self._executor, longest_nap)
        self.flushing = False
        self.bring: Callable[[], object] = int
        self._cause = "tick"
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self._long_runs: set[Batch] = set()
        self._background_runs: set[Batch] = set()
        self._dropped: list[tuple[Servable, list[InferenceRequest], Exception]] = []

    def close(self) -> None:
        """Stop the threads; nothing may wait or run."""
        if self._timer is not None:
            self._timer.cancel()
        self._executor.close()

    def flush(self) -> None:
        """Start what this iteration of the loop has brought."""
        self.flushing = False
        self._dispatch(self._cause)

    def begin_tick(self) -> None:
        """Runs on the loop may take a fresh share of its time; any one of them fits."""
        board = self._board
        board.inline_left = max(TICK_SECONDS, board.inline_limit)

    def run_alone(self, queue: Queue, request: InferenceRequest, seconds: float) -> Batch:
        """Run a request that was never queued, as `policy.at_once` allows; the caller answers it.

        Args:
            queue: Where it would have waited.
            request: The request.
            seconds: Predicted for its run.
        """
        servable, board = queue.servable, self._board
        share = servable.share
        share.virtual_time = board.virtual_time = max(share.virtual_time, board.virtual_time)
        servable.virtual_time = share.floor = max(servable.virtual_time, share.floor)
        batch = Batch((request,), self._clock(), queue, seconds)
        servable.batches["tick"] += 1
        self._run_inline(batch, servable)
        if batch.error is not None:
            servable.failed += 1
        return batch

    def drop(self, queue: Queue, heads: int, error: Exception) -> None:
        """Take the first out of a queue; `refuse` answers them."""
        servable = queue.servable
        reason = "deadline"
        if isinstance(error, Overloaded):
            reason = error.reason
            reckon(servable, self._board, Backlog(self._board.active))
            error = Overloaded(predicted_wait(servable), reason)
        dropped = queue.drop(heads)
        self._deactivate(queue)
        servable.dropped[reason] += len(dropped)
        self._dropped.append((servable, dropped, error))

    def refuse(self) -> None:
        """Answer no to what was dropped: after the threads have work."""
        while self._dropped:
            servable, requests, error = self._dropped.pop()
            now = self._clock()
            one_by_one = isinstance(requests[0], Part)  # parts may be of different requests
            for group in [[one] for one in requests] if one_by_one else [requests]:
                batch = Batch(group, now)
                batch.error = error
                self._deliver(servable, batch)
            servable.check_drained()

    def sweep(self) -> None:
        """Forget queues that were emptied from outside."""
        active = self._board.active
        active[:] = [queue for queue in active if queue.requests]

    def _on_timer(self) -> None:
        self._timer = None
        self._timer_at = math.inf
        self._dispatch("timer")

    def _dispatch(self, cause: str) -> None:
        """Do what the policy says until it says to wait."""
        board = self._board
        clock = self._clock
        began = clock()
        self.begin_tick()
        if board.utilisation:
            board.tally(clock())
        while board.active:
            wait = self._pass(cause)
            if wait is not None:
                self._rest(wait, clock())
                break
        if self._dropped:
            self.refuse()
        self._nap.consider(began)

    def _pass(self, cause: str) -> Wait | None:
        """Look at every waiting queue once, the most urgent first.

        The order holds for the whole pass, whose runs are short ones on the loop; a run on a thread
        ends the pass. So a tick costs one sorting, however many models wait.

        Returns:
            What to wait for, unless another pass may find something to do.
        """
        board = self._board
        moved = next_tick = False
        until = math.inf
        for queue in by_urgency(board.active):
            while queue.requests:
                now = self._clock()
                step = consider(queue, board, now)
                if isinstance(step, Wait):
                    next_tick |= step.next_tick
                    until = min(until, step.until)
                    break
                moved = True
                if isinstance(step, Drop):
                    error = DeadlineExceeded() if step.late else Overloaded(0.0, "early_drop")
                    self.drop(queue, step.heads, error)
                    continue
                self._run(step, now, cause)
                if not step.inline:
                    return None
                break
        if moved:  # a run may have shown that the next one is no matter for the loop
            return None
        return Wait(max(min(until, wake_at(board)), self._clock()), next_tick)

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
            parts = self._run_inline(batch, servable)
            self._answer(servable, batch, parts)
            return
        board.tally(now)
        board.free -= 1
        queue.running += 1
        servable.thread_batches += 1
        if servable.options.background:
            self._background_runs.add(batch)
            board.background_runs = len(self._background_runs)
        servable.charge(batch.charge)
        if step.long:
            self._long_runs.add(batch)
            board.long_runs = len(self._long_runs)
        board.ends[batch] = now + step.seconds
        self._executor.start(batch, servable.model)

    def _run_inline(self, batch: Batch, servable: Servable) -> list[Batch] | None:
        """Run on the loop; returns what the batch was split into, as `execute` does."""
        parts = execute(batch, servable.model, self._clock)
        servable.inline_batches += 1
        servable.account(batch, parts, 0.0)
        board = self._board
        board.inline_left -= batch.finished_at - batch.formed_at
        board.inlined_at = batch.finished_at
        return parts

    def _done(self, batch: Batch, parts: list[Batch] | None) -> None:
        """An execution thread has finished: give it work first, then answer."""
        queue = batch.queue
        assert queue is not None
        board = self._board
        board.tally(self._clock())
        board.free += 1
        del board.ends[batch]
        queue.running -= 1
        if self._long_runs:
            self._long_runs.discard(batch)
            board.long_runs = len(self._long_runs)
        if self._background_runs:
            self._background_runs.discard(batch)
            board.background_runs = len(self._background_runs)
        servable = queue.servable
        servable.account(batch, parts, batch.charge)
        self._cause = "slot"
        try:
            self.bring()
        except Exception as error:  # noqa: BLE001  whoever has been run gets an answer
            self._report("submitting what was gathered failed", error)
        if board.active and board.free:
            self._dispatch("slot")
        self._cause = "tick"
        self._answer(servable, batch, parts)

    def _answer(self, servable: Servable, batch: Batch, parts: list[Batch] | None) -> None:
        """Hand the finished batch, or what it was split into, to the owner."""
        for finished in parts or (batch,):
            if finished.error is not None:
                servable.failed += len(finished.requests)
            self._deliver(servable, finished)
        if servable.special:
            beside = batch.started_at - batch.formed_at - batch.finished_at
            self._board.note_answer(self._clock() + beside)
        if servable.drained is not None:
            servable.check_drained()

    def _deliver(self, servable: Servable, batch: Batch) -> None:
        first = batch.requests[0]
        if isinstance(first, Part):
            whole = first.whole.finish(first, batch)
            self.sweep()
            if whole is None:
                return
            batch = whole
        try:
            servable.sink(batch)
        except Exception as error:  # noqa: BLE001  a broken sink must not stop the others' answers
            self._report(f"the sink of model {servable.name!r} failed", error)

    def _report(self, message: str, error: Exception) -> None:
        """Tell of an error in what others gave to be called."""
        self._loop.call_exception_handler({"message": message, "exception": error})

    def _deactivate(self, queue: Queue) -> None:
        if not queue.requests:
            self._board.active.remove(queue)

    def _rest(self, wait: Wait, now: float) -> None:
        """Nothing can be started: see to the door, the next tick and the timer."""
        board = self._board
        backlog = Backlog(board.active)
        for servable in backlog.own:
            reckon(servable, board, backlog)
        if wait.next_tick and not self.flushing:
            self.flushing = True
            self._loop.call_soon(self.flush)
        if wait.until < self._timer_at - LEAST_TIMER_SECONDS:
            if self._timer is not None:
                self._timer.cancel()
            delay = max(wait.until - now, LEAST_TIMER_SECONDS)
            self._timer_at = now + delay
            self._timer = self._loop.call_later(delay, self._on_timer)
