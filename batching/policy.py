"""The batching policy: a pure function of the waiting work, the running work, and the time.

The rule is SLACK: work-conserving (never wait while a thread is free), sized by fitted run times,
dropping early under overload, fair between models in a window of virtual time.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from .background import may_run, run_rows, waiting_foreground

if TYPE_CHECKING:
    from .scheduled_model import Queue
    from .scheduler_state import SchedulerState

#: A model counts as active this long after its last run.
ACTIVE_SECONDS: Final = 1.0
#: A run longer than this part of another active model's tolerable delay hurts that model.
BLOCKING_PART: Final = 0.5
#: Extra execution time worth paying to spread a batch over free threads, below and above half load.
SPREAD_IDLE: Final = 1.0
SPREAD_BUSY: Final = 0.15
HALF: Final = 0.5
#: Part of the time of the whole batch that the parts may take; more is not worth the extra work.
SPREAD_GAIN: Final = 0.8


class Run(NamedTuple):
    """Take up to ``rows`` from the queue and execute them."""

    queue: Queue
    rows: int
    seconds: float
    inline: bool
    long: bool = False


class Drop(NamedTuple):
    """Refuse the first ``heads`` of the queue; ``late`` if their deadline is out of reach."""

    queue: Queue
    heads: int
    late: bool


class Wait(NamedTuple):
    """Do nothing until ``until``, a finished run, or ``next_tick`` of the loop."""

    until: float = math.inf
    next_tick: bool = False


Decision: TypeAlias = Run | Drop | Wait

IDLE: Final = Wait()
NEXT_TICK: Final = Wait(next_tick=True)


def consider(queue: Queue, state: SchedulerState, now: float) -> Decision:
    """Decide the next step for one queue that has waiting requests; ask again after each step."""
    if queue.bounded and (drop := prune(queue, state, now)):
        return drop
    return plan(queue, state, now)


def can_run_inline(queue: Queue, state: SchedulerState, rows: int) -> float | None:
    """Predicted seconds of a request that may run on the loop without being queued.

    It equals the decision of `consider` for a queue with this request alone, if nothing else waits
    but background work.
    ``None`` if the request has to wait, to run on a thread, or to pass an admission check.
    """
    costs = queue.costs
    if state.active and waiting_foreground(state):
        return None
    if not 0 < rows <= costs.most or queue.owner.needs_admission_check:
        return None
    if queue.owner.options.max_hold_seconds:
        return None
    seconds = costs.seconds[rows]
    expected = seconds * costs.margin
    return seconds if expected <= state.inline_limit and expected <= state.inline_left else None


def prune(queue: Queue, state: SchedulerState, now: float) -> Drop | None:
    """Find requests at the head that cannot be answered, or only in a batch too small to keep up.

    Serving a head with little slack in a small batch delays all requests behind it: under
    overload that is a stable collapse. Dropping it serves the youngest feasible requests in
    full batches (early drop, Nexus SOSP'19).
    """
    costs = queue.costs
    waiting = queue.rows
    target = target_rows(queue, state)
    count = 0
    late = False
    for request in queue.requests:
        if request.cancelled:
            count += 1
            continue
        fitting = costs.rows_within(request.deadline - now - state.answer_seconds)
        if fitting >= max(request.rows, min(waiting, target)):
            break
        out_of_reach = fitting < request.rows
        if count and out_of_reach != late:
            break
        late = out_of_reach
        count += 1
        waiting -= request.rows
    return Drop(queue, count, late) if count else None


def target_rows(queue: Queue, state: SchedulerState) -> int:
    """Rows per run that keep up with saturation; a head that allows fewer is dropped."""
    return 1 if queue.solo else min(queue.costs.efficient, slo_rows(queue, state))


def slo_rows(queue: Queue, state: SchedulerState) -> int:
    """Rows per run at which one batch may wait while another runs, within the SLO."""
    slo = queue.owner.options.slo_seconds
    if slo == math.inf:
        return queue.costs.max_rows
    return max(1, queue.costs.rows_within((slo - state.answer_seconds) / 2))


def plan(queue: Queue, state: SchedulerState, now: float) -> Run | Wait:
    """Choose a run for the queue now, or a wait."""
    costs = queue.costs
    rows = sized(queue, state, now)
    seconds = costs.seconds[rows] if rows <= costs.max_rows else costs.seconds[-1]
    options = queue.owner.options
    if options.max_hold_seconds and now < (release := held_until(queue, rows)):
        return Wait(release)
    if options.background:
        return background(queue, state, rows, now)
    expected = seconds * costs.margin
    if expected <= state.inline_limit:  # a hop to a thread takes longer than the run
        if expected <= state.inline_left:
            return Run(queue, rows, seconds, inline=True)
        return NEXT_TICK
    if not state.free:
        return IDLE
    return threaded(queue, state, rows, now)


def sized(queue: Queue, state: SchedulerState, now: float) -> int:
    """Rows to run: all waiting rows, unless more rows would only add latency or miss a deadline."""
    costs = queue.costs
    head = queue.requests[0].rows
    rows = queue.rows if queue.rows <= costs.most else costs.saturated
    if queue.solo or rows < head:
        return head
    if queue.bounded:
        return min(rows, max(head, feasible_rows(queue, state, now)))
    return rows


def threaded(queue: Queue, state: SchedulerState, rows: int, now: float) -> Run | Wait:
    """Choose a run on an execution thread; one of them is free."""
    seconds = queue.costs.seconds
    rows = min(rows, queue.costs.max_rows)
    if seconds[rows] > BLOCKING_PART * state.least_tolerable_delay:
        return guard(queue, state, rows, now)
    if state.free > 1 and rows > 1 and not queue.solo and waiting_foreground(state) == 1:
        rows = spread(queue, state, rows)
    return Run(queue, rows, seconds[rows], inline=False)


def feasible_rows(queue: Queue, state: SchedulerState, now: float) -> int:
    """Most rows from the head that are all answered in time when they run together."""
    costs = queue.costs
    earliest = math.inf
    total = 0
    fitting = costs.max_rows
    for request in queue.requests:
        if request.cancelled:
            continue
        if request.deadline < earliest:
            earliest = request.deadline
            fitting = costs.rows_within(earliest - now - state.answer_seconds)
        if total + request.rows > fitting:
            break
        total += request.rows
    return total


def guard(queue: Queue, state: SchedulerState, rows: int, now: float) -> Run | Wait:
    """Bound the blocking of other models.

    Runs cannot be interrupted, so long ones cost others their SLO. All threads but one may run
    them; on the last one, runs are cut to the least tolerable delay of any other active model.
    """
    own = queue.owner.share
    tolerable = min(
        (
            share.tolerable_delay_seconds
            for share in state.shares.values()
            if share is not own and now - share.last_active <= ACTIVE_SECONDS
        ),
        default=math.inf,
    )
    costs = queue.costs
    seconds = costs.seconds
    limit = BLOCKING_PART * tolerable
    rows = min(rows, costs.max_rows)
    if seconds[rows] <= limit:
        return Run(queue, rows, seconds[rows], inline=False)
    if state.long_runs < state.threads - 1:
        return Run(queue, rows, seconds[rows], inline=False, long=True)
    least = min(queue.requests[0].rows, costs.max_rows)
    if seconds[least] > limit and state.threads > 1:
        return IDLE
    rows = max(least, bisect_right(seconds, limit) - 1)
    return Run(queue, rows, seconds[rows], inline=False)


def background(queue: Queue, state: SchedulerState, rows: int, now: float) -> Run | Wait:
    """Choose a run of background work; see `penstock.batching.background`."""
    if not may_run(state, now):
        return IDLE
    costs, head = queue.costs, queue.requests[0]
    least = 1 if head.divisible else head.rows
    rows = min(max(least, run_rows(queue, state, now)), rows, costs.max_rows)
    return Run(queue, rows, costs.seconds[rows], inline=False)


def spread(queue: Queue, state: SchedulerState, rows: int) -> int:
    """Rows per run if the waiting rows are spread over several free threads.

    Args:
        queue: The only queue with waiting requests.
        state: The waiting and running work.
        rows: Most rows per run.
    """
    waiting = queue.rows
    fewest = -(-waiting // rows)
    if fewest > state.free:
        return rows
    seconds = queue.costs.seconds
    best = -(-waiting // fewest)
    extra = SPREAD_IDLE if state.utilisation < HALF else SPREAD_BUSY
    allowed = (1 + extra) * fewest * seconds[best]
    enough = SPREAD_GAIN * seconds[best]
    for runs in range(fewest + 1, min(state.free, waiting) + 1):
        size = -(-waiting // runs)
        if runs * seconds[size] <= allowed and seconds[size] <= enough:
            best = size
    return best


def held_until(queue: Queue, rows: int) -> float:
    """When the wait for further requests ends; the past if a larger batch would gain nothing."""
    costs = queue.costs
    if rows >= costs.saturated:
        return -math.inf
    head = queue.requests[0]
    larger = costs.seconds[rows + 1] * costs.margin
    hold = queue.owner.options.max_hold_seconds
    return min(head.arrival + hold, head.deadline - 2 * larger)


def wake_at(state: SchedulerState) -> float:
    """When a waiting head has to be dropped, if no run ends before."""
    until = math.inf
    for queue in state.active:
        if queue.bounded:
            costs = queue.costs
            head = queue.requests[0]
            rows = max(head.rows, min(queue.rows, target_rows(queue, state)))
            slack = costs.seconds[min(rows, costs.max_rows)] * costs.margin + state.answer_seconds
            until = min(until, head.deadline - slack)
    return until
