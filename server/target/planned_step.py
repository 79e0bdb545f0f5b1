"""The steps of the pipelines in a target, with what is known of their versions. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003  msgspec reads the annotations
from typing import TYPE_CHECKING

from penstock.server.pipelines.pins import Pin  # noqa: TC001  as above

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .plan import ModelPlan

    #: By model and version, the pins of a pipeline.
    Pins = Mapping[str, Mapping[int, tuple[Pin, ...]]]


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step of a pipeline.

    Attributes:
        pin: The step, and the version that runs it.
        directory: Where that version is loaded from; ``None`` if it is not there.
        retried: When an operator last asked to try that version again, Unix seconds.
        kept_out: Why that version is out of service; empty if it is not.
    """

    pin: Pin
    directory: Path | None = None
    retried: float = 0.0
    kept_out: str = ""


def planned_steps(
    versions: Iterable[int], pins: Mapping[int, tuple[Pin, ...]], plans: Mapping[str, ModelPlan]
) -> dict[int, tuple[PlannedStep, ...]]:
    """The steps of the versions of a model that are pipelines.

    Args:
        versions: The versions.
        pins: The pins of the pipelines among the versions.
        plans: The plan of each model.
    """
    return {
        version: tuple(_planned(pin, plans.get(pin.model)) for pin in pins[version])
        for version in sorted({*versions} & pins.keys())
    }


def _planned(pin: Pin, plan: ModelPlan | None) -> PlannedStep:
    if plan is None:
        return PlannedStep(pin)
    version = pin.version
    return PlannedStep(
        pin,
        plan.versions.get(version),
        plan.retried.get(version, 0.0),
        plan.quarantined.get(version, ""),
    )


def pipelines_with(plans: Mapping[str, ModelPlan], model: str, version: int) -> list[str]:
    """The pipelines one of whose steps a version runs, in words.

    Args:
        plans: The plan of each model.
        model: Name of the model.
        version: Its version.
    """
    return [
        f"version {number} of model {plan.name!r}"
        for plan in plans.values()
        for number, steps in plan.steps.items()
        if any((one.pin.model, one.pin.version) == (model, version) for one in steps)
    ]
