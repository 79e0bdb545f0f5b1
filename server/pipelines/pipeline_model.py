"""A pipeline as a model that runs its steps one after the other on the calling thread.

Requests do not take this way: `ScheduledPipeline` gives each step to the scheduler. This model
answers golden requests, warms up, and runs in the shadow. Both must give the same answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.batching.outputs import check_outputs

from .step_failed import StepFailed
from .wired_step import rows_of_answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.runtimes.contract import Array, Model

    from .pins import Pin
    from .wiring import Wiring


class PipelineModel:
    """Implements `penstock.runtimes.contract.Model`.

    Args:
        wiring: The wiring.
        pins: The version of each step.
        models: The loaded model of each step, in the same order.

    Attributes:
        signature: Inputs and outputs.
        metadata: The version of each step.
        wiring: The wiring.
        pins: The version of each step.
    """

    def __init__(self, wiring: Wiring, pins: Sequence[Pin], models: Sequence[Model]) -> None:
        self.wiring = wiring
        self.pins = tuple(pins)
        self.signature = wiring.signature
        self.metadata = {f"steps.{pin.step}": f"{pin.model} version {pin.version}" for pin in pins}
        self._models = dict(zip(wiring.steps, models, strict=True))
        self._by_step = {pin.step: model for pin, model in zip(pins, models, strict=True)}

    def runs(self, pin: Pin, model: Model) -> bool:
        """Whether this loaded model runs the step of a pin."""
        return self._by_step.get(pin.step) is model

    def execute(self, inputs: Sequence[Array | None], outputs: Sequence[str]) -> list[Array]:
        """Run the steps; see `penstock.runtimes.contract.Model.execute`."""
        route = self.wiring.route(outputs)
        values: list[Any] = self.wiring.values(inputs)
        for one in route.steps:
            message = one.step.request(values, one.outputs)
            model = self._models[one.step]
            try:
                given = model.execute(message.inputs, one.outputs)
                checked = check_outputs(given, one.outputs, model.signature, message.rows or 1)
            except Exception as error:
                raise StepFailed(one.step.label, error) from error
            for slot, value in zip(one.slots, rows_of_answer(message, checked), strict=True):
                values[slot] = value
        return [values[slot] for slot in route.answer]

    def unload(self) -> None:
        """Nothing: the models of the steps are versions of their own."""
