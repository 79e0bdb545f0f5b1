"""At the door: who is let in to wait."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .errors import Overloaded

if TYPE_CHECKING:
    from .board import Board
    from .request import InferenceRequest
    from .servable import Queue, Servable


def admit(
    servable: Servable, queue: Queue, request: InferenceRequest, board: Board, now: float
) -> None:
    """Give the request its deadline and refuse it if it cannot be served.

    Raises:
        Overloaded: Too many wait already.
        ValueError: The request is empty.
    """
    options = servable.options
    rows = request.rows
    if servable.draining:
        raise refusal(servable, "draining", 1.0)
    if rows < 1:
        raise ValueError(f"a request needs at least one row, got {rows}")
    request.deadline = min(request.deadline, request.arrival + options.slo_seconds)
    waiting = servable.waiting_rows
    if not waiting:
        return
    if waiting + rows > servable.limit:
        reckon(servable, board)
        if waiting + rows > options.max_queue_rows:
            raise refusal(servable, "queue_full")
        if waiting + rows > servable.limit:
            raise refusal(servable, "queue_time")
    if request.deadline < math.inf:
        costs = queue.costs
        run = costs.seconds[min(rows, costs.max_rows)] * costs.margin
        if now + waiting * servable.seconds_per_row + run > request.deadline:
            raise refusal(servable, "queue_time")


def refusal(servable: Servable, reason: str, seconds: float = 0.0) -> Overloaded:
    """The error for a request that is not let in, counted."""
    servable.rejected[reason] += 1
    return Overloaded(seconds or predicted_wait(servable), reason)


def predicted_wait(servable: Servable) -> float:
    """Seconds until all that waits has left the queue."""
    return servable.waiting_rows * servable.seconds_per_row


def reckon(servable: Servable, board: Board) -> None:
    """Work out what the present backlog means for further requests.

    Done when the loop has nothing left to start and before anybody is refused, so that letting a
    request in costs one comparison.
    """
    options = servable.options
    servable.seconds_per_row = per_row = seconds_per_row(servable, board)
    limit = options.max_queue_rows
    servable.limit = limit if options.background else min(limit, options.patience_seconds / per_row)


def seconds_per_row(servable: Servable, board: Board) -> float:
    """How much a waiting row of the servable delays the next one, others' shares included."""
    costs = servable.costs
    inline = costs.seconds[costs.saturated] * costs.margin <= board.inline_limit
    own = others = 0.0
    weight = weights = servable.options.weight
    for queue in board.active:
        backlog = queue.rows * queue.costs.row_seconds
        if queue.servable is servable:
            own += backlog
        elif not queue.servable.options.background:
            others += backlog
            weights += queue.servable.options.weight
    per_row = own / servable.waiting_rows if own else costs.row_seconds
    slowdown = min(weights / weight, 1 + others / own) if own else 1.0
    return per_row * slowdown / (1 if inline else board.threads)
