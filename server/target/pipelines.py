"""The pipelines in a target whose steps a version runs. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .plan import ModelPlan


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
