"""A pipeline in the scheduler: each of its requests becomes requests to the models of its steps."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from penstock.batching.request import Batch

from .pipeline_run import PipelineRun

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.batching.request import InferenceRequest
    from penstock.batching.scheduled_model import ScheduledModel
    from penstock.batching.scheduler import Scheduler

    from .wired_step import WiredStep
    from .wiring import Wiring


class ScheduledPipeline:
    """Implements `penstock.batching.composite.Composite`.

    A step's request waits in the queue of the step's model, and shares runs with the other requests
    there: of this pipeline, of other pipelines, and of clients.

    Args:
        scheduler: Runs the models of the steps.
        scheduled: The pipeline in the scheduler.
        wiring: The wiring.
        steps: The model of each step in the scheduler, in the order of the wiring.
        clock: Monotonic seconds, the scheduler's.

    Attributes:
        scheduled: See above.
        wiring: See above.
        clock: See above.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        scheduled: ScheduledModel,
        wiring: Wiring,
        steps: Sequence[ScheduledModel],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.scheduled = scheduled
        self.wiring = wiring
        self.clock = clock
        self._scheduler = scheduler
        self._steps = dict(zip(wiring.steps, steps, strict=True))

    def begin(self, request: InferenceRequest) -> None:
        """Start the run of an admitted request. Never raises."""
        self.scheduled.waiting_rows += request.rows
        PipelineRun(self, request).begin()

    def submit(self, step: WiredStep, request: InferenceRequest) -> None:
        """Give the request of a step to the scheduler.

        Raises:
            Overloaded: The model of the step refuses it.
        """
        self._scheduler.submit(self._steps[step], request)

    def cancel(self, request: InferenceRequest) -> None:
        """Withdraw the request of a step."""
        self._scheduler.cancel(request)

    def forget(self, request: InferenceRequest) -> None:
        """Count a request that was withdrawn as no longer waiting."""
        self.scheduled.waiting_rows -= request.rows

    def finish(self, run: PipelineRun, error: Exception | None) -> None:
        """Answer the request of a run that has ended."""
        request = run.request
        self.forget(request)
        batch = Batch((request,), run.started_at)
        batch.finished_at = self.clock()
        batch.inputs = request.inputs
        batch.error = error
        if error is None:
            batch.outputs = run.answer
        self._scheduler.deliver(self.scheduled, batch)
