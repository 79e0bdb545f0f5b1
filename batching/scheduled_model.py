"""One version of one model in the scheduler: its queues, its share, its counters."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from .blame import known_inputs
from .cost import UNKNOWN, CostModel, CostTable
from .queue import BatchQueue

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from penstock.runtimes.contract import Array, Model

    from .composite import Composite
    from .options import BatchingOptions
    from .request import Batch

#: Batch classes kept per model; requests of further classes run alone.
MAX_CLASSES: Final = 64

#: How far a model may run ahead of the least served one, in seconds of execution per weight.
FAIRNESS_WINDOW_SECONDS: Final = 0.030


class FairShare:
    """The fair share of one model: the execution time that its versions have in common.

    Attributes:
        virtual_time: Seconds of execution received, divided by weight.
        last_active: Time at which the last run ended that was no background work.
        tolerable_delay_seconds: The least tolerable delay of its versions.
        versions: Its registered versions.
        floor: Virtual time of the version served last; an idle version starts from it.
    """

    __slots__ = ("floor", "last_active", "tolerable_delay_seconds", "versions", "virtual_time")

    def __init__(self) -> None:
        self.virtual_time = 0.0
        self.floor = 0.0
        self.last_active = -math.inf
        self.tolerable_delay_seconds = math.inf
        self.versions: list[ScheduledModel] = []

    def update_tolerable_delay(self) -> None:
        """Compute the least tolerable delay of the versions again."""
        options = [scheduled.options for scheduled in self.versions]
        self.tolerable_delay_seconds = min(
            (each.tolerable_delay_seconds for each in options if not each.background),
            default=math.inf,
        )


class ScheduledModel:
    """A registered version. Made by `Scheduler.register`.

    Attributes:
        name: Name of the model.
        version: Name of the version.
        model: The loaded model that runs its batches.
        options: The options in effect; replace them with `configure`.
        sink: Gets every finished batch, on the event loop.
        share: The model's share, common to its versions.
        virtual_time: As in `FairShare`, for this version.
        queue: The batch class of requests without a key.
        oversize: Chunks of requests with more rows than a run may have.
        waiting_rows: Waiting rows over all classes.
        limit: Most waiting rows with which a further request is still answered in time.
        seconds_per_row: Seconds by which each waiting row delays a further request.
        composite: Answers the requests by other models; ``None`` for a version with a model.
        known_inputs: Inputs that the model has run, to tell its faults from those of requests.
        needs_admission_check: Whether `Scheduler.submit` has to call `admit` for each request.
        background: The version's background requests; ``None`` while there were none.
        foreground: The version whose background requests these are; ``None`` for a version.
        mark: The number of the version in `penstock.batching.marks.RunMarks`.
        group: The threads that run it, an `InstanceGroup`, which knows this module.
    """

    def __init__(
        self,
        name: str,
        version: str,
        model: Model,
        options: BatchingOptions,
        sink: Callable[[Batch], None],
        costs: CostTable | None,
        share: FairShare,
        changed: Callable[[], None],
    ) -> None:
        """``changed`` is called after the options have changed."""
        self.name = name
        self.version = version
        self.model = model
        self.options = options
        self.sink = sink
        self.share = share
        self.virtual_time = 0.0
        self.background: ScheduledModel | None = None
        self.foreground: ScheduledModel | None = None
        batching = model.signature.batch_axis
        self.costs = CostModel(
            costs or UNKNOWN, options.max_batch_size if batching else 1, trusted=costs is not None
        )
        self.queue: Queue = BatchQueue(self, self.costs)
        self._classes: dict[Hashable, Queue] = {}
        self.oversize: Queue = BatchQueue(self, self.costs, solo=True)
        self._overflow: Queue = BatchQueue(self, self.costs.fork(), solo=True)
        self.composite: Composite | None = None
        self.draining = False
        self.needs_admission_check = False
        self.known_inputs: Sequence[Array | None] | None = None
        self.mark = 0
        self.group: Any = None
        self.drained: asyncio.Future[None] | None = None
        self.waiting_rows = 0
        self.limit: float = options.max_queue_rows
        self.seconds_per_row = 0.0
        self._changed = changed
        share.versions.append(self)
        self.configure(options)

    def configure(self, options: BatchingOptions) -> None:
        """Replace the options, at once and also for waiting requests."""
        self.options = options
        if self.background is not None:
            self.background.configure(options.of_background())
        rows = options.max_batch_size if self.model.signature.batch_axis else 1
        for queue in self.queues():
            if queue.costs.max_rows != rows:
                queue.costs.resize(rows)
        self.limit = options.max_queue_rows
        self.needs_admission_check = (
            self.draining
            or self.composite is not None
            or options.background
            or options.slo_seconds < math.inf
        )
        self.share.update_tolerable_delay()
        self._changed()

    def compose(self, composite: Composite) -> None:
        """Have the requests answered by other models, from now on."""
        self.composite = composite
        self.needs_admission_check = True

    def leave(self) -> None:
        """Leave the model's fair share."""
        if self in self.share.versions:
            self.share.versions.remove(self)
            self.share.update_tolerable_delay()
            self._changed()

    def queues(self) -> Iterator[Queue]:
        """All batch classes."""
        yield self.queue
        yield from self._classes.values()
        yield self.oversize
        yield self._overflow

    def queue_for(self, key: Hashable) -> Queue:
        """The queue of a batch class; the least recently used idle class makes room for a new one.

        With `MAX_CLASSES` classes at work, requests of further ones run alone.
        """
        classes = self._classes
        queue: Queue | None = classes.pop(key, None)
        if queue is None:
            if len(classes) >= MAX_CLASSES:
                idle = next(
                    (k for k, q in classes.items() if not q.requests and not q.running), None
                )
                if idle is None:
                    return self._overflow
                del classes[idle]
            queue = BatchQueue(self, self.costs.fork())
        classes[key] = queue
        return queue

    def short_rows(self, inline_seconds: float) -> int:
        """Most rows worth running together whose run is shorter than a hop to a thread.

        0 if there are none, or if each request of this model needs an admission check.
        """
        costs = self.queue.costs
        if self.needs_admission_check or not self.model.signature.batch_axis:
            return 0
        return min(costs.most, costs.rows_within(inline_seconds))

    @property
    def idle(self) -> bool:
        """Whether no request of the version waits or runs."""
        queues = self.queues()
        return not self.waiting_rows and all(not (q.requests or q.running) for q in queues)

    def account(self, batch: Batch, parts: list[Batch] | None, charged: float) -> None:
        """Learn from a finished run, count it, and charge the model for it.

        Args:
            batch: The run; if it failed and was split, it ends when the last of ``parts`` does.
            parts: The smaller batches that it was split into.
            charged: Seconds charged in advance.
        """
        queue = batch.queue
        assert queue is not None
        if parts is not None:
            batch.finished_at = parts[-1].finished_at
        seconds = batch.finished_at - batch.started_at
        if parts is None and batch.error is None:
            queue.costs.observe(batch.rows, seconds)
            if self.known_inputs is None:
                self.known_inputs = known_inputs(batch.inputs, self.model.signature)
        if not self.options.background:
            self.share.last_active = batch.finished_at
        self.charge(seconds - charged)

    def charge(self, seconds: float) -> None:
        """Count execution time against the share, which background work takes nothing of."""
        received = seconds / self.options.weight
        if not self.options.background:
            self.share.virtual_time += received
        self.virtual_time += received

    def check_drained(self) -> None:
        """Resolve `drained` if nothing waits or runs any more."""
        drained = self.drained
        if drained is not None and not drained.done() and self.idle:
            drained.set_result(None)


#: A batch class of a servable.
Queue: TypeAlias = BatchQueue[ScheduledModel]


def by_urgency(active: Sequence[Queue]) -> list[Queue]:
    """Order queues by deadline, among the models that are not ahead of their fair share.

    Models ahead of their share follow, and background work comes last.
    """
    if len(active) == 1:
        return list(active)
    least: dict[object, float] = {}
    lowest = math.inf
    for queue in active:
        scheduled = queue.owner
        share = scheduled.share
        if scheduled.options.background:
            continue
        lowest = min(lowest, share.virtual_time)
        least[share] = min(least.get(share, math.inf), scheduled.virtual_time)

    def urgency(queue: Queue) -> tuple[bool, bool, int, float, float, float]:
        scheduled = queue.owner
        share = scheduled.share
        ahead = (
            share.virtual_time - lowest > FAIRNESS_WINDOW_SECONDS
            or scheduled.virtual_time - least.get(share, math.inf) > FAIRNESS_WINDOW_SECONDS
        )
        return (
            scheduled.options.background,
            ahead,
            scheduled.options.urgency,
            queue.requests[0].deadline,
            share.virtual_time,
            queue.requests[0].arrival,
        )

    return sorted(active, key=urgency)
