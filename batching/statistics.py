"""Figures of the scheduler for a scrape, made on demand."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .policy import slo_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .scheduled_model import ScheduledModel
    from .scheduler_state import SchedulerState


@dataclass(frozen=True, slots=True)
class ModelStats:
    """Counters since registration, and the present state, of one servable.

    Attributes:
        queue_requests: Waiting requests, cancelled ones not yet swept included.
        queue_rows: Waiting rows.
        running: Batches being run.
        batches: Finished runs by what started them: ``tick``, ``slot`` or ``timer``.
        requests: Requests in them.
        rows: Rows in them.
        failed: Requests whose answer is a model's error.
        inline_batches: Runs on the event loop.
        thread_batches: Runs on an execution thread.
        rejected: Requests refused by `Scheduler.submit`, by reason.
        dropped: Requests dropped after that, by reason.
        cancelled: Requests withdrawn while they waited.
        execution_seconds: Time spent in runs.
        classes: Batch classes known.
        efficient_rows: Fewest rows with 95 % of the best throughput.
        saturated_rows: The most rows the scheduler puts into a run by itself.
        slo_rows: Most rows with which the SLO can be held at saturation; 0 if it cannot at all.
        margin: Factor between expected and almost-worst run time.
        row_seconds: Expected time per row at `saturated_rows`.
        virtual_time_lag: Seconds of execution that the model is behind the least served active one;
            negative when it is ahead.
    """

    queue_requests: int
    queue_rows: int
    running: int
    batches: Mapping[str, int]
    requests: int
    rows: int
    failed: int
    inline_batches: int
    thread_batches: int
    rejected: Mapping[str, int]
    dropped: Mapping[str, int]
    cancelled: int
    execution_seconds: float
    classes: int
    efficient_rows: int
    saturated_rows: int
    slo_rows: int
    margin: float
    row_seconds: float
    virtual_time_lag: float


@dataclass(frozen=True, slots=True)
class SchedulerStats:
    """The state of the execution threads, and every servable by name and version.

    Attributes:
        threads: Execution threads.
        busy_threads: Those with work.
        utilisation: Part of the threads busy over the last tenths of a second.
        answer_seconds: What a batch takes besides its run, 95th percentile.
        models: By ``(name, version)``.
    """

    threads: int
    busy_threads: int
    utilisation: float
    answer_seconds: float
    models: Mapping[tuple[str, str], ModelStats]


def model_stats(scheduled: ScheduledModel, state: SchedulerState) -> ModelStats:
    """The counters and the state of one servable."""
    queues = list(scheduled.queues())
    costs = scheduled.costs
    times = [queue.owner.share.virtual_time for queue in state.active]
    wanted = slo_rows(scheduled.queue, state)
    feasible = 2 * costs.margin * costs.seconds[wanted] <= scheduled.options.slo_seconds
    return ModelStats(
        queue_requests=sum(len(queue.requests) for queue in queues),
        queue_rows=scheduled.waiting_rows,
        running=sum(queue.running for queue in queues),
        batches=dict(scheduled.batches),
        requests=scheduled.requests,
        rows=scheduled.rows,
        failed=scheduled.failed,
        inline_batches=scheduled.inline_batches,
        thread_batches=scheduled.thread_batches,
        rejected=dict(scheduled.rejected),
        dropped=dict(scheduled.dropped),
        cancelled=scheduled.cancelled,
        execution_seconds=scheduled.execution_seconds,
        classes=len(queues) - 2,
        efficient_rows=costs.efficient,
        saturated_rows=costs.saturated,
        slo_rows=wanted if feasible else 0,
        margin=costs.margin,
        row_seconds=costs.row_seconds,
        virtual_time_lag=min(times, default=math.nan) - scheduled.share.virtual_time
        if times
        else 0.0,
    )
