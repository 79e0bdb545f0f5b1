"""From finished batches to the owners of their requests: every request that was let in ends here.

`Delivery` is the only caller of `ScheduledModel.sink`. It never raises: what else goes wrong around
a batch is told to the event loop's exception handler, and the batch is handed over all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .admission import Backlog, predicted_wait, reckon
from .errors import DeadlineExceeded, Overloaded
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
        dropped: What `refuse` is to answer.

    Args:
        loop: Whose exception handler is told of errors.
        board: Of the scheduler.
        clock: Monotonic seconds.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, board: SchedulerState, clock: Callable[[], float]
    ) -> None:
        self._loop = loop
        self._board = board
        self._clock = clock
        self.dropped: list[tuple[ScheduledModel, list[InferenceRequest], Exception]] = []

    def attempt(self, what: str, step: Callable[..., object], *args: object) -> None:
        """Take a step on which no answer may depend; an error in it is told, and that is all.

        Args:
            what: Failed if it raises.
            step: The step.
            args: Its arguments.
        """
        try:
            step(*args)
        except Exception as error:  # noqa: BLE001  see above
            self.tell(what, error)

    def tell(self, what: str, error: Exception) -> None:
        """Tell of an error on which no answer depends."""
        self._loop.call_exception_handler({"message": f"{what} failed", "exception": error})

    def answer(self, servable: ScheduledModel, batch: Batch, parts: list[Batch] | None) -> None:
        """Hand over a batch that was run, or what it was split into."""
        for finished in parts or (batch,):
            if finished.error is not None:
                servable.failed += len(finished.requests)
            self._deliver(servable, finished)
        if servable.special or servable.drained is not None:
            self.attempt("what follows an answer", self._note_answer, servable, batch)

    def _note_answer(self, servable: ScheduledModel, batch: Batch) -> None:
        servable.check_drained()
        if servable.special:
            beside = batch.started_at - batch.formed_at - batch.finished_at
            self._board.note_answer(self._clock() + beside)

    def drop(self, queue: Queue, heads: int, error: Exception) -> None:
        """Take the first out of a queue; `refuse` answers them."""
        servable = queue.servable
        reason = "deadline" if isinstance(error, DeadlineExceeded) else "error"
        if isinstance(error, Overloaded):
            reason = error.reason
            reckon(servable, self._board, Backlog(self._board.active))
            error = Overloaded(predicted_wait(servable), reason)
        self._take_out(queue, heads, reason, error)

    def drop_all(self, error: Exception) -> None:
        """Take out all that waits, because nobody can say what to do with it."""
        for queue in list(self._board.active):
            self._take_out(queue, len(queue.requests), "error", error)
        self._board.active.clear()
        self.refuse()

    def refuse(self) -> None:
        """Answer no to what was dropped: after the threads have work."""
        while self.dropped:
            servable, requests, error = self.dropped.pop()
            now = self._clock()
            one_by_one = isinstance(requests[0], Chunk)  # parts may be of different requests
            for group in [[one] for one in requests] if one_by_one else [requests]:
                batch = Batch(group, now)
                batch.error = error
                self._deliver(servable, batch)
            servable.check_drained()

    def sweep(self) -> None:
        """Forget queues that were emptied from outside."""
        active = self._board.active
        active[:] = [queue for queue in active if queue.requests]

    def _take_out(self, queue: Queue, heads: int, reason: str, error: Exception) -> None:
        dropped = queue.drop(heads)
        if dropped:
            self.dropped.append((queue.servable, dropped, error))
        if not queue.requests:
            self._board.active.remove(queue)
        queue.servable.dropped[reason] += len(dropped)

    def _deliver(self, servable: ScheduledModel, batch: Batch) -> None:
        first = batch.requests[0]
        if isinstance(first, Chunk):
            whole = first.whole.finish(first, batch)
            self.sweep()
            if whole is None:
                return
            batch = whole
        try:  # as `attempt` does, without making the words for each batch
            servable.sink(batch)
        except Exception as error:  # noqa: BLE001  see there
            self.tell(f"the sink of model {servable.name!r}", error)
