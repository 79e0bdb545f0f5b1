"""A request to the batcher, and the batch that answers it."""

from __future__ import annotations

import math
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from penstock.runtimes.contract import Array


class WaitingRoom(Protocol):
    """The place in which a request waits: a queue, or a split request."""

    #: A `penstock.batching.scheduled_model.ScheduledModel`, which knows this module.
    owner: Any

    def discard(self, request: InferenceRequest) -> None:
        """Forget a cancelled request."""


class InferenceRequest:
    """One request: its tensors, its deadline, and its owner's context.

    Times are monotonic seconds of the scheduler's clock.

    Attributes:
        inputs: One array per input of the signature, in that order; ``None`` where left out.
        rows: Its rows, or 1 if requests of the model run alone.
        outputs: Names of the wanted outputs, in signature order.
        key: The batch class: requests with equal keys may share a batch. ``None`` if the
            signature's shapes are fixed and all outputs are wanted.
        arrival: Time of the first byte of the request.
        deadline: Time at which an answer stops being useful; infinite without an SLO or timeout.
        context: An object of the owner, which the batcher does not use.
        cancelled: Set by `Scheduler.cancel`; a cancelled request is not executed.
        queue: The place in which it waits; ``None`` before and after.
        divisible: Whether `cut` makes two of it.
    """

    divisible = False

    __slots__ = (
        "arrival",
        "cancelled",
        "context",
        "deadline",
        "inputs",
        "key",
        "outputs",
        "queue",
        "rows",
    )

    def __init__(
        self,
        inputs: Sequence[Array | None],
        rows: int,
        outputs: tuple[str, ...],
        arrival: float,
        *,
        key: Hashable | None = None,
        deadline: float = math.inf,
        context: Any = None,
    ) -> None:
        self.inputs = inputs
        self.rows = rows
        self.outputs = outputs
        self.key = key
        self.arrival = arrival
        self.deadline = deadline
        self.context = context
        self.cancelled = False
        self.queue: WaitingRoom | None = None

    def cut(self, rows: int) -> InferenceRequest:
        """Keep the first rows; gives a request for the others.

        Args:
            rows: Fewer than it has.

        Raises:
            TypeError: It is not divisible.
        """
        raise TypeError(f"a request of {self.rows} rows cannot be cut to {rows}")


class Batch:
    """One finished run, handed to the owner's sink exactly once, on the event loop.

    Every accepted request ends in exactly one batch. ``error`` is set when the whole batch failed
    or was dropped; a failed batch of several requests is split first, so that a request gets only
    its own error.

    Attributes:
        requests: The requests that shared the run, in order of arrival.
        inputs: One array per input; not kept for a request that was cut into chunks.
        outputs: One array per name in ``requests[0].outputs``; rows of request ``i`` are
            ``offsets[i]`` up to ``offsets[i + 1]`` on axis 0 where the model has a batch axis.
        offsets: ``len(requests) + 1`` row numbers, from 0 to `rows`.
        rows: Rows of these requests; 1 where requests run alone, until `count_rows` says how many
            the run had.
        error: The reason why there are no outputs.
        formed_at: Time at which the requests left the queue.
        started_at: Time at which the run began on its thread.
        finished_at: Time at which the run ended; equal to ``formed_at`` if it never began.
        queue: For the scheduler: the queue of the requests.
        charge: For the scheduler: predicted seconds of execution.
        ended: For the scheduler: the run has ended, or has failed to begin.
    """

    __slots__ = (
        "charge",
        "ended",
        "error",
        "finished_at",
        "formed_at",
        "inputs",
        "offsets",
        "outputs",
        "queue",
        "requests",
        "rows",
        "started_at",
    )

    def __init__(
        self,
        requests: Sequence[InferenceRequest],
        formed_at: float,
        queue: Any = None,
        charge: float = 0.0,
    ) -> None:
        self.requests = requests
        self.ended = False
        count = len(requests)
        self.offsets: Sequence[int]
        if count == 1:
            self.rows = requests[0].rows
            self.offsets = (0, self.rows)
        else:
            self.offsets = (0, *accumulate([request.rows for request in requests]))
            self.rows = self.offsets[-1]
        self.inputs: Sequence[Array | None] = ()
        self.outputs: list[Array] = []
        self.error: Exception | None = None
        self.formed_at = formed_at
        self.started_at = formed_at
        self.finished_at = formed_at
        self.queue = queue
        self.charge = charge

    @property
    def run_rows(self) -> int:
        """Rows in the run; more than `rows` only where this is a part of its requests."""
        return self.rows

    def count_rows(self, rows: int) -> None:
        """Set the rows of a request that ran alone; called by its owner after the run."""
        self.rows = rows
        self.offsets = (0, rows)
