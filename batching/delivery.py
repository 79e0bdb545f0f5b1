"""Gives finished batches to the owners of their requests; each admitted request ends here.

`Delivery` is the only caller of `ScheduledModel.sink`. It never raises: other errors around
a batch go to the event loop's exception handler, and the batch is delivered even then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .admission import Backlog, predicted_wait, update_admission_limit
from .errors import Overloaded
from .request import Batch
from .split_request import Chunk

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from .request import InferenceRequest
    from .scheduled_model import Queue, ScheduledModel
    from .scheduler_state import SchedulerState


class Delivery:
    """Hands batches to the sinks of their models.

    Attributes:
        dropped: Dropped requests that `refuse` is going to answer.

    Args:
        loop: The event loop, whose exception handler gets errors.
        state: The state of the scheduler.
        clock: Monotonic seconds.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, state: SchedulerState, clock: Callable[[], float]
    ) -> None:
        self._loop = loop
        self._state = state
        self._clock = clock
        self.dropped: list[tuple[ScheduledModel, list[InferenceRequest], Exception]] = []

    def attempt(self, what: str, step: Callable[..., object], *args: object) -> None:
        """Take a step on which no answer may depend; an error in it is only reported.

        Args:
            what: Name of the step, for the report.
            step: The step.
            args: Its arguments.
        """
        try:
            step(*args)
        except Exception as error:  # noqa: BLE001  see above
            self.tell(what, error)

    def tell(self, what: str, error: Exception) -> None:
        """Report an error on which no answer depends."""
        self._loop.call_exception_handler({"message": f"{what} failed", "exception": error})

    def answer(self, scheduled: ScheduledModel, batch: Batch, parts: list[Batch] | None) -> None:
        """Deliver a batch that was run, or the batches that it was split into."""
        for finished in parts or (batch,):
            self.deliver(scheduled, finished)
        if scheduled.needs_admission_check or scheduled.drained is not None:
            self.attempt("what follows an answer", self._note_answer, scheduled, batch)

    def _note_answer(self, scheduled: ScheduledModel, batch: Batch) -> None:
        scheduled.check_drained()
        if scheduled.needs_admission_check:
            beside = batch.started_at - batch.formed_at - batch.finished_at
            self._state.note_answer(self._clock() + beside)

    def drop(self, queue: Queue, heads: int, error: Exception) -> None:
        """Remove the first requests of a queue; `refuse` answers them."""
        scheduled = queue.owner
        if isinstance(error, Overloaded):
            update_admission_limit(scheduled, self._state, Backlog(self._state.active))
            error = Overloaded(predicted_wait(scheduled), error.reason)
        self._take_out(queue, heads, error)

    def drop_all(self, error: Exception) -> None:
        """Remove all waiting requests with an error, because the policy has failed."""
        for queue in list(self._state.active):
            self._take_out(queue, len(queue.requests), error)
        self._state.active.clear()
        self.refuse()

    def refuse(self) -> None:
        """Answer the dropped requests; called after the threads have work."""
        while self.dropped:
            scheduled, requests, error = self.dropped.pop()
            now = self._clock()
            one_by_one = isinstance(requests[0], Chunk)  # chunks may belong to different requests
            for group in [[one] for one in requests] if one_by_one else [requests]:
                batch = Batch(group, now)
                batch.error = error
                self.deliver(scheduled, batch)
            scheduled.check_drained()

    def sweep(self) -> None:
        """Forget active queues that have become empty."""
        active = self._state.active
        active[:] = [queue for queue in active if queue.requests]

    def _take_out(self, queue: Queue, heads: int, error: Exception) -> None:
        dropped = queue.drop(heads)
        if dropped:
            self.dropped.append((queue.owner, dropped, error))
        if not queue.requests:
            self._state.active.remove(queue)

    def deliver(self, scheduled: ScheduledModel, batch: Batch) -> None:
        """Give a batch to the sink of its model; an error of the sink is only reported."""
        first = batch.requests[0]
        if isinstance(first, Chunk):
            whole = first.split.finish(first, batch)
            self.sweep()
            if whole is None:
                return
            batch = whole
        try:  # as `attempt` does, without making the words for each batch
            scheduled.sink(batch)
        except Exception as error:  # noqa: BLE001  see there
            self.tell(f"the sink of model {scheduled.name!r}", error)
