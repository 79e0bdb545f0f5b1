"""One request on its way through a pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from penstock.batching.request import InferenceRequest

from .step_failed import StepFailed
from .wired_step import rows_of_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.batching.scheduled_model import ScheduledModel
    from penstock.runtimes.contract import Array
    from penstock.server.codecs.messages import InferRequest

    from .wired_step import WiredStep
    from .wiring import Wiring


class Pipeline(Protocol):
    """The pipeline of a run; implemented by `ScheduledPipeline`.

    Attributes:
        scheduled: The pipeline in the scheduler.
        wiring: The wiring.
        clock: Monotonic seconds, the scheduler's.
    """

    scheduled: ScheduledModel
    wiring: Wiring
    clock: Callable[[], float]

    def submit(self, step: WiredStep, request: InferenceRequest) -> None:
        """Give the request of a step to the scheduler."""
        ...

    def cancel(self, request: InferenceRequest) -> None:
        """Withdraw the request of a step."""
        ...

    def forget(self, request: InferenceRequest) -> None:
        """Count a request that was withdrawn as no longer waiting."""
        ...

    def finish(self, run: PipelineRun, error: Exception | None) -> None:
        """Answer the request of a run that has ended."""
        ...


class StepTicket:
    """The context of a step's request: it leads the answer back to the run.

    Attributes:
        run: The run of the pipeline.
        place: The step, as its position in the route.
        message: Request of the step.
    """

    __slots__ = ("message", "place", "run")

    def __init__(self, run: PipelineRun, place: int, message: InferRequest) -> None:
        self.run = run
        self.place = place
        self.message = message


class PipelineRun:
    """The run of one request: the place in which the request waits until it is answered.

    Steps whose inputs are there are given to the scheduler together; each answer may make others
    ready. The first error ends the run and withdraws the other steps. A value is let go when the
    last step that takes it has it.

    Attributes:
        owner: The pipeline in the scheduler.
        request: The request.
        started_at: Time at which the run began, in seconds of the scheduler's clock.
    """

    __slots__ = (
        "_left",
        "_needs",
        "_open",
        "_pipeline",
        "_route",
        "_uses",
        "_values",
        "owner",
        "request",
        "started_at",
    )

    def __init__(self, pipeline: Pipeline, request: InferenceRequest) -> None:
        self.owner: ScheduledModel = pipeline.scheduled
        self.request = request
        self.started_at = pipeline.clock()
        self._pipeline = pipeline
        self._route = route = pipeline.wiring.route(request.outputs)
        self._values: list[Any] = pipeline.wiring.values(request.inputs)
        self._uses = list(route.uses)
        self._needs = [one.needs for one in route.steps]
        self._left = len(route.steps)
        self._open: dict[int, InferenceRequest] = {}

    @property
    def ended(self) -> bool:
        """Whether the request is answered or withdrawn."""
        return self.request.queue is not self

    @property
    def answer(self) -> list[Array]:
        """The outputs of the pipeline that the request wants."""
        return [self._values[slot] for slot in self._route.answer]

    def begin(self) -> None:
        """Start the steps that need no other one. Never raises."""
        self.request.queue = self
        for place, one in enumerate(self._route.steps):
            if not one.needs and not self.ended:
                self._start(place)

    def discard(self, request: InferenceRequest) -> None:
        """Withdraw the request; see `penstock.batching.request.WaitingRoom`."""
        request.queue = None
        self._withdraw()
        self._pipeline.forget(request)

    def take(self, ticket: StepTicket, outputs: Sequence[Array]) -> None:
        """Take the answer of a step. Never raises."""
        if self.ended:
            return
        del self._open[ticket.place]
        one = self._route.steps[ticket.place]
        for slot, value in zip(one.slots, rows_of_answer(ticket.message, outputs), strict=True):
            self._values[slot] = value
        self._left -= 1
        if not self._left:
            self._end(None)
        for later in one.feeds:
            self._needs[later] -= 1
            if not self._needs[later] and not self.ended:
                self._start(later)

    def fail(self, place: int, error: Exception) -> None:
        """End with the error of a step. Never raises."""
        if not self.ended:
            self._open.pop(place, None)
            named = isinstance(error, StepFailed)
            label = self._route.steps[place].step.label
            self._end(error if named else StepFailed(label, error))

    def _start(self, place: int) -> None:
        one, whole = self._route.steps[place], self.request
        try:
            message = one.step.request(self._values, one.outputs)
            request = InferenceRequest(
                message.inputs,
                message.rows or 1,
                one.outputs,
                self._pipeline.clock(),
                key=message.key,
                deadline=whole.deadline,
                context=StepTicket(self, place, message),
            )
            self._pipeline.submit(one.step, request)
        except Exception as error:  # noqa: BLE001  the request is answered with it
            self.fail(place, error)
            return
        self._open[place] = request
        for slot in one.step.taken:
            self._uses[slot] -= 1
            if not self._uses[slot]:
                self._values[slot] = None

    def _end(self, error: Exception | None) -> None:
        self.request.queue = None
        self._withdraw()
        self._pipeline.finish(self, error)

    def _withdraw(self) -> None:
        """Withdraw the steps that wait; the answers of those that run are not used."""
        for request in self._open.values():
            self._pipeline.cancel(request)
        self._open.clear()
