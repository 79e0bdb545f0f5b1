"""The steps of loaded pipelines: found before a load, and held as long as a pipeline uses them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from penstock.server.files.refusal import ModelRefused
from penstock.server.pipelines.pipeline_model import PipelineModel
from penstock.server.pipelines.pipeline_runtime import StepModel
from penstock.server.pipelines.scheduled_pipeline import ScheduledPipeline
from penstock.server.pipelines.step_sink import StepSink

from .lifecycle import State, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from penstock.batching.scheduler import Scheduler
    from penstock.runtimes.contract import Model
    from penstock.server.pipelines.pins import Pin
    from penstock.server.target.planned_step import PlannedStep

    from .catalog import Catalog, Key
    from .load_task import Loading
    from .servable import Servable


class PipelineSteps:
    """Finds, holds and lets go the versions that run the steps of pipelines.

    Args:
        catalog: Holds the state of each version.
        scheduler: Runs the versions.
        loading: The loads in progress.
        loaded: A version that is loaded, published or not.

    Attributes:
        on_idle: Called with a version when the last pipeline that used it is unloaded.
    """

    def __init__(
        self,
        catalog: Catalog,
        scheduler: Scheduler,
        loading: Mapping[Key, Loading],
        loaded: Callable[[str, str], Servable | None],
    ) -> None:
        self._catalog = catalog
        self._scheduler = scheduler
        self._loading = loading
        self._loaded = loaded
        self._idle: dict[Servable, asyncio.Event] = {}
        self.on_idle: Callable[[Servable], None] = lambda _servable: None

    async def find(self, steps: Sequence[PlannedStep]) -> dict[tuple[str, int], StepModel]:
        """The models of the steps, when those that are being loaded are loaded.

        Raises:
            ModelRefused: A version is not there, cannot be loaded, or is out of service.
        """
        found = {}
        for step in steps:
            pin, key = step.pin, (step.pin.model, str(step.pin.version))
            while key in self._loading:  # each load ends, and is begun once for each target
                await asyncio.wait({self._loading[key].task})
            if step.kept_out:
                raise ModelRefused(f"{pin.label} is out of service: {step.kept_out}")
            servable = self._loaded(*key)
            if servable is None:
                raise ModelRefused(f"{pin.label}: {self._why_not(step)}")
            if servable.steps:
                raise ModelRefused(f"{pin.label} is a pipeline itself, expected a model")
            found[pin.model, pin.version] = StepModel(servable.model, servable.digest)
        return found

    def _why_not(self, step: PlannedStep) -> str:
        pin = step.pin
        status = self._catalog.statuses.get((pin.model, str(pin.version)), Status())
        if status.state is State.FAILED:
            return f"the version could not be loaded: {status.reason}"
        if step.directory is None:
            return "the version is not in the registry, or may not be loaded"
        return "the version is not loaded"

    def of(self, model: Model) -> tuple[Servable, ...]:
        """The versions that run the steps of a loaded pipeline; none for another model.

        Raises:
            ModelRefused: A version was unloaded meanwhile.
        """
        if not isinstance(model, PipelineModel):
            return ()
        return tuple(self._step(pin, model) for pin in model.pins)

    def hold(self, pipeline: Servable, steps: tuple[Servable, ...]) -> None:
        """Connect a loaded pipeline with its steps, which stay loaded from now on."""
        model = pipeline.model
        if not isinstance(model, PipelineModel):
            return
        pipeline.steps = steps
        for step in {*steps}:
            if not isinstance(step.scheduled.sink, StepSink):
                step.scheduled.sink = StepSink(step.scheduled.sink, step.counters)
            step.pipelines.add(pipeline)
        for wired, step in zip(model.wiring.steps, steps, strict=True):
            wired.wire.max_rows = step.wire.max_rows
        most = min(step.wire.max_rows for step in steps)
        pipeline.wire.max_rows = min(pipeline.wire.max_rows, most)
        scheduled = [step.scheduled for step in steps]
        pipeline.scheduled.compose(
            ScheduledPipeline(self._scheduler, pipeline.scheduled, model.wiring, scheduled)
        )

    def _step(self, pin: Pin, model: PipelineModel) -> Servable:
        servable = self._loaded(pin.model, str(pin.version))
        if servable is None or not model.runs(pin, servable.model):
            raise ModelRefused(f"{pin.label}: the version was unloaded meanwhile")
        return servable

    def release(self, pipeline: Servable) -> None:
        """Let go the steps of an unloaded pipeline."""
        for step in {*pipeline.steps}:
            step.pipelines.discard(pipeline)
            if step.pipelines:
                continue
            # A step of a withdrawn request may still run, and share the run with clients: then
            # the sink stays, which answers clients as the other one does.
            if isinstance(step.scheduled.sink, StepSink) and step.scheduled.idle:
                step.scheduled.sink = step.scheduled.sink.direct
            if step in self._idle:
                self._idle.pop(step).set()
            self.on_idle(step)

    async def wait_idle(self, servable: Servable) -> None:
        """Wait until no pipeline uses a version."""
        while servable.pipelines:
            await self._idle.setdefault(servable, asyncio.Event()).wait()
