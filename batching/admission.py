"""Admission: which requests may enter a queue."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .errors import Overloaded
from .policy import target_rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .request import InferenceRequest
    from .scheduled_model import Queue, ScheduledModel
    from .scheduler_state import SchedulerState


def admit(
    scheduled: ScheduledModel,
    queue: Queue,
    request: InferenceRequest,
    state: SchedulerState,
    now: float,
) -> None:
    """Set the deadline of a request, and refuse the request if it cannot be answered in time.

    Raises:
        Overloaded: Too many wait already.
        ValueError: The request is empty.
    """
    if scheduled.draining:
        raise refusal(scheduled, "draining", 1.0)
    if request.rows < 1:
        raise ValueError(f"a request needs at least one row, got {request.rows}")
    own = request.arrival + scheduled.options.slo_seconds
    request.deadline = min(request.deadline, own)
    check_room(queue, request.rows, request.deadline, state, now)


def check_room(queue: Queue, rows: int, deadline: float, state: SchedulerState, now: float) -> None:
    """Refuse a request that cannot be answered in time.

    Args:
        queue: The queue that the request would enter.
        rows: Rows of the request.
        deadline: Deadline of the request.
        state: The waiting and running work.
        now: The present time.

    Raises:
        Overloaded: Too many wait already.
    """
    scheduled = queue.owner
    waiting = scheduled.waiting_rows
    if not waiting:
        return
    if waiting + rows > scheduled.limit:
        update_admission_limit(scheduled, state, Backlog(state.active))
        if waiting + rows > scheduled.options.max_queue_rows:
            raise refusal(scheduled, "queue_full")
        if waiting + rows > scheduled.limit:
            raise refusal(scheduled, "queue_time")
    if deadline == math.inf:
        return
    costs = queue.costs
    run = costs.seconds[min(rows, costs.max_rows)] * costs.margin
    if now + waiting * scheduled.seconds_per_row + run > deadline:
        raise refusal(scheduled, "queue_time")
    if queue.requests and not in_time(queue, rows, deadline, state, now):
        raise refusal(scheduled, "queue_time")


def in_time(queue: Queue, rows: int, deadline: float, state: SchedulerState, now: float) -> bool:
    """Whether the next run, or the one after that, answers a further request in time; pure.

    The next run starts when a thread is free, and takes no more rows than the deadline of its first
    request allows. The run after it counts only if it can be large enough to keep up.
    """
    costs = queue.costs
    start = state.next_free(now)
    first = min(deadline, queue.requests[0].deadline)
    fitting = costs.rows_within(first - start - state.answer_seconds)
    if queue.rows + rows <= fitting:
        return True
    taken = max(1, min(queue.rows, fitting))
    after = start + costs.seconds[taken] / state.threads
    enough = max(rows, min(queue.rows + rows - taken, target_rows(queue, state)))
    return costs.rows_within(deadline - after - state.answer_seconds) >= min(enough, costs.max_rows)


def refusal(scheduled: ScheduledModel, reason: str, seconds: float = 0.0) -> Overloaded:
    """The error of a refused request."""
    return Overloaded(seconds or predicted_wait(scheduled), reason)


def predicted_wait(scheduled: ScheduledModel) -> float:
    """Seconds until all waiting rows have left the queue."""
    return scheduled.waiting_rows * scheduled.seconds_per_row


class Backlog:
    """The execution time of all waiting requests at one moment.

    Attributes:
        seconds: Execution time of the waiting foreground rows.
        weight: Sum of the weights of their models, one for each queue.
        own: Seconds and weight of each model.
    """

    __slots__ = ("own", "seconds", "weight")

    def __init__(self, active: Iterable[Queue]) -> None:
        self.seconds = self.weight = 0.0
        self.own: dict[ScheduledModel, tuple[float, float]] = {}
        for queue in active:
            scheduled = queue.owner
            seconds, weight = self.own.get(scheduled, (0.0, 0.0))
            work, share = queue.rows * queue.costs.row_seconds, scheduled.options.weight
            self.own[scheduled] = seconds + work, weight + share
            if not scheduled.options.background:
                self.seconds += work
                self.weight += share


def update_admission_limit(
    scheduled: ScheduledModel, state: SchedulerState, backlog: Backlog
) -> None:
    """Compute how many rows of a model may wait, from the present backlog.

    Called when the loop has no run left to start, and before a request is refused, so that
    admitting a request costs one comparison.
    """
    options = scheduled.options
    scheduled.seconds_per_row = per_row = seconds_per_row(scheduled, state, backlog)
    limit = options.max_queue_rows
    scheduled.limit = (
        limit if options.background else min(limit, options.tolerable_delay_seconds / per_row)
    )


def seconds_per_row(scheduled: ScheduledModel, state: SchedulerState, backlog: Backlog) -> float:
    """Seconds by which a waiting row of the model delays the next one, with the work of others."""
    costs = scheduled.costs
    own, weight = backlog.own.get(scheduled, (0.0, 0.0))
    per_row, slowdown = costs.row_seconds, 1.0
    if own:
        foreground = not scheduled.options.background
        others = backlog.seconds - (own if foreground else 0.0)
        weights = backlog.weight - (weight if foreground else 0.0)
        mine = scheduled.options.weight
        per_row = own / scheduled.waiting_rows
        slowdown = min((mine + weights) / mine, 1 + others / own)
    inline = costs.seconds[costs.saturated] * costs.margin <= state.inline_limit
    return per_row * slowdown / (1 if inline else state.threads)
