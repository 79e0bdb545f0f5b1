"""The dispatcher: carries out the decisions of `policy.consider` on an event loop."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from .admission import Backlog, update_admission_limit
from .delivery import Delivery
from .errors import DeadlineExceeded, Overloaded
from .execution import execute
from .marks import LOOP, RunMarks
from .policy import Drop, Run, Wait, consider, wake_at
from .request import Batch
from .scheduled_model import by_urgency

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from .executor import Executor
    from .request import InferenceRequest
    from .scheduled_model import Queue, ScheduledModel
    from .scheduler_state import SchedulerState

#: Execution time that one iteration of the event loop may spend.
TICK_SECONDS: Final = 500e-6
#: Shortest timer, so that requests that must be dropped are answered together.
LEAST_TIMER_SECONDS: Final = 1e-3


class Dispatcher:
    """Starts runs and delivers answers.

    It is woken at the end of an iteration of the loop in which a request was queued, by every
    finished run, and by one timer while a waiting deadline may have to be given up.

    Attributes:
        flushing: `flush` is going to be called.
        delivery: Gives finished batches to their owners.
        before_dispatch: Called when a run has ended, before the next one is chosen: it submits the
            requests that were read but are still collected in groups.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        state: SchedulerState,
        clock: Callable[[], float],
        executor: Callable[..., Executor],
        marks: RunMarks | None = None,
    ) -> None:
        marks = marks or RunMarks.private(1)
        self._running, self._since = marks.running, marks.since
        self._loop = loop
        self._state = state
        self._clock = clock
        self.delivery = Delivery(loop, state, clock)
        self._executor = executor(loop, state.threads, self._done, clock)
        self.flushing = False
        self.before_dispatch: Callable[[], object] = int
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self._long_runs: set[Batch] = set()
        self._background_runs: set[Batch] = set()

    def close(self) -> None:
        """Stop the threads; nothing may wait or run."""
        if self._timer is not None:
            self._timer.cancel()
        self._executor.close()

    def flush(self) -> None:
        """Start runs for the requests of this iteration of the loop."""
        self.flushing = False
        self._dispatch()

    def begin_tick(self) -> None:
        """Give runs on the loop a new budget of time, enough for any one of them."""
        state = self._state
        state.inline_left = max(TICK_SECONDS, state.inline_limit)

    def run_alone(self, queue: Queue, request: InferenceRequest, seconds: float) -> Batch:
        """Run a request that was never queued; the caller answers it.

        `policy.can_run_inline` has allowed it.

        Args:
            queue: The queue that it would have entered.
            request: The request.
            seconds: Predicted time of its run.
        """
        scheduled, state = queue.owner, self._state
        share = scheduled.share
        share.virtual_time = state.virtual_time = max(share.virtual_time, state.virtual_time)
        scheduled.virtual_time = share.floor = max(scheduled.virtual_time, share.floor)
        batch = Batch((request,), self._clock(), queue, seconds)
        self._run_inline(batch, scheduled)
        return batch

    def _on_timer(self) -> None:
        self._timer = None
        self._timer_at = math.inf
        self._dispatch()

    def _dispatch(self) -> None:
        """Carry out the policy's decisions until it decides to wait. Never raises.

        If a decision fails, all waiting requests are answered with its error, because no other code
        would decide about them.
        """
        state = self._state
        clock = self._clock
        try:
            self.begin_tick()
            if state.utilisation:
                state.update_utilisation(clock())
            while state.active:
                wait = self._pass()
                if wait is not None:
                    self._rest(wait, clock())
                    break
            if self.delivery.dropped:
                self.delivery.refuse()
        except Exception as error:  # noqa: BLE001  see above
            message = {"message": "choosing the next run failed", "exception": error}
            self._loop.call_exception_handler(message)
            self.delivery.drop_all(error)

    def _pass(self) -> Wait | None:
        """Consider every waiting queue once, the most urgent first.

        The order holds for the whole pass, whose runs are short ones on the loop; a run on a thread
        ends the pass. So a tick costs one sorting for any number of models.

        Returns:
            The event to wait for; ``None`` if another pass may find work.
        """
        state = self._state
        moved = next_tick = False
        until = math.inf
        for queue in by_urgency(state.active):
            while queue.requests:
                now = self._clock()
                step = consider(queue, state, now)
                if isinstance(step, Wait):
                    next_tick |= step.next_tick
                    until = min(until, step.until)
                    break
                moved = True
                if isinstance(step, Drop):
                    error = DeadlineExceeded() if step.late else Overloaded(0.0, "early_drop")
                    self.delivery.drop(queue, step.heads, error)
                    continue
                self._run(step, now)
                if not step.inline:
                    return None
                break
        if moved:  # after a run the next one may be too long for the loop
            return None
        return Wait(max(min(until, wake_at(state)), self._clock()), next_tick)

    def _run(self, step: Run, now: float) -> None:
        """Run the chosen requests. They have left their queue, so each is answered from here."""
        queue = step.queue
        scheduled = queue.owner
        batch = Batch(queue.take(step.rows), now, queue, step.seconds)
        parts = None
        try:
            self._note_start(queue)
            if not step.inline:
                self._hand_over(batch, step, now)
                return
            parts = self._run_inline(batch, scheduled)
        except Exception as error:  # noqa: BLE001  the requests are answered with it
            batch.error = error
            self.delivery.sweep()
            if not step.inline:
                self._loop.call_soon(self._done, batch, None)
                return
        self.delivery.answer(scheduled, batch, parts)

    def _note_start(self, queue: Queue) -> None:
        state, scheduled = self._state, queue.owner
        share = scheduled.share
        if not queue.requests:
            state.active.remove(queue)
        state.virtual_time = max(state.virtual_time, share.virtual_time)
        share.floor = max(share.floor, scheduled.virtual_time)

    def _hand_over(self, batch: Batch, step: Run, now: float) -> None:
        """Give the batch to an execution thread."""
        state, queue, scheduled = self._state, step.queue, step.queue.owner
        state.update_utilisation(now)
        state.free -= 1
        queue.running += 1
        state.ends[batch] = now + step.seconds
        if scheduled.options.background:
            self._background_runs.add(batch)
            state.background_runs = len(self._background_runs)
        scheduled.charge(batch.charge)
        if step.long:
            self._long_runs.add(batch)
            state.long_runs = len(self._long_runs)
        self._executor.start(batch, scheduled.model)

    def _run_inline(self, batch: Batch, scheduled: ScheduledModel) -> list[Batch] | None:
        """Run on the loop; returns the batches it was split into, as `execute` does."""
        self._since[LOOP] = batch.formed_at
        self._running[LOOP] = scheduled.mark
        parts = execute(batch, scheduled.model, self._clock)
        self._running[LOOP] = 0
        try:  # as `Delivery.attempt` does, without a call for each run
            scheduled.account(batch, parts, 0.0)
        except Exception as error:  # noqa: BLE001  see there
            self.delivery.tell("accounting for a run", error)
        state = self._state
        state.inline_left -= batch.finished_at - batch.formed_at
        return parts

    def _done(self, batch: Batch, parts: list[Batch] | None) -> None:
        """Handle a run that has ended on a thread: give the thread work first, then answer.

        A batch ends once: if handing it over fails after a thread has taken it, the thread reports
        the end of the run, too.
        """
        if batch.ended:
            return
        batch.ended = True
        queue = batch.queue
        assert queue is not None
        state, attempt = self._state, self.delivery.attempt
        if state.ends.pop(batch, None) is not None:  # it was handed over
            attempt("measuring the utilisation", state.update_utilisation, self._clock())
            state.free += 1
            queue.running -= 1
        if self._long_runs:
            self._long_runs.discard(batch)
            state.long_runs = len(self._long_runs)
        if self._background_runs:
            self._background_runs.discard(batch)
            state.background_runs = len(self._background_runs)
        scheduled = queue.owner
        attempt("accounting for a run", scheduled.account, batch, parts, batch.charge)
        attempt("submitting what was gathered", self.before_dispatch)
        if state.active and state.free:
            self._dispatch()
        self.delivery.answer(scheduled, batch, parts)

    def _rest(self, wait: Wait, now: float) -> None:
        """No run can be started: update admission limits, and plan the next tick and the timer."""
        state = self._state
        backlog = Backlog(state.active)
        for scheduled in backlog.own:
            update_admission_limit(scheduled, state, backlog)
        if wait.next_tick and not self.flushing:
            self.flushing = True
            self._loop.call_soon(self.flush)
        if wait.until < self._timer_at - LEAST_TIMER_SECONDS:
            if self._timer is not None:
                self._timer.cancel()
            delay = max(wait.until - now, LEAST_TIMER_SECONDS)
            self._timer_at = now + delay
            self._timer = self._loop.call_later(delay, self._on_timer)
