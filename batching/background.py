"""Background work: what may wait until no other request wants the threads.

A model is background work as a whole if its options say so. Single requests of any model are
background work, too, if their caller says so, such as those of a large file. They wait in a
scheduled model of their own, made by `background_of`, so that they neither fill the queue of the
other requests nor stand before them.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from .errors import Overloaded
from .scheduled_model import ScheduledModel

if TYPE_CHECKING:
    from .scheduled_model import Queue
    from .scheduler_state import SchedulerState

#: While there is foreground work, a background run may take this many times as long as one of its
#: rows ...
LENGTH: Final = 1.5
#: ... or this long, if that is longer: a run that is handed to a thread takes 100 us more anyway.
LEAST_SECONDS: Final = 100e-6
#: There is no foreground work if none ran for so long. Then a run may be of any length, and a
#: request that comes waits for the end of one at most.
QUIET_SECONDS: Final = 5.0


def background_of(scheduled: ScheduledModel) -> ScheduledModel:
    """The scheduled model of a version's background requests, made when it is asked for first.

    It has the model, the threads, the fair share and the sink of the version. A pipeline has none:
    its steps are run for it by other models.
    """
    if scheduled.background is not None:
        return scheduled.background
    if scheduled.composite is not None or scheduled.draining:
        return scheduled
    group, share = scheduled.group, scheduled.share
    made = ScheduledModel(
        scheduled.name,
        scheduled.version,
        scheduled.model,
        scheduled.options.of_background(),
        scheduled.sink,
        scheduled.costs.table,
        share,
        group.state.update_least_delay,
    )
    made.mark, made.group, made.foreground = scheduled.mark, group, scheduled
    made.known_inputs = scheduled.known_inputs
    scheduled.background = made
    return made


def is_quiet(state: SchedulerState, now: float) -> bool:
    """Whether no foreground work has run for `QUIET_SECONDS`."""
    return all(now - share.last_active > QUIET_SECONDS for share in state.shares.values())


def run_rows(queue: Queue, state: SchedulerState, now: float) -> int:
    """Most rows of a background run: short runs while there is foreground work."""
    costs = queue.costs
    if is_quiet(state, now):
        return costs.max_rows
    seconds = costs.seconds
    return max(1, bisect_right(seconds, max(LENGTH * seconds[1], LEAST_SECONDS)) - 1)


def waiting_foreground(state: SchedulerState) -> int:
    """How many queues of foreground work have waiting requests."""
    return sum([not queue.owner.options.background for queue in state.active])


def may_run(state: SchedulerState, now: float) -> bool:
    """Whether a background run may start: no other request waits, and a thread stays free.

    Of a single thread none stays free.
    """
    if waiting_foreground(state):
        return False
    if is_quiet(state, now):
        return state.free > 0 and state.background_runs < max(1, state.threads - 1)
    return not state.background_runs and state.free * 2 > state.threads


def make_room(scheduled: ScheduledModel, rows: int) -> None:
    """Drop the oldest requests of a background model, in place of refusing its newest.

    Background requests of another model are none that a newer one replaces.
    """
    if scheduled.foreground is not None:
        return
    delivery = scheduled.group.dispatcher.delivery
    while scheduled.waiting_rows and (
        scheduled.waiting_rows + rows > scheduled.options.max_queue_rows
    ):
        waiting = [queue for queue in scheduled.queues() if queue.requests]
        oldest = min(waiting, key=lambda queue: queue.requests[0].arrival)
        delivery.drop(oldest, 1, Overloaded(0.0, "replaced"))
    delivery.refuse()
