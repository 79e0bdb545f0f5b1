"""A load in progress, with its order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

    from penstock.server.target.plan import ModelPlan
    from penstock.server.target.planned_step import PlannedStep

#: Model, version, whether an operator accepts it, when one last asked to try it again, and the
#: steps of a pipeline.
Asked = tuple[str, int, bool, float, "tuple[PlannedStep, ...]"]


@dataclass(frozen=True, slots=True)
class Loading:
    """A load in progress.

    Attributes:
        asked: The order.
        directory: Directory of the version.
        task: Ends when the load has ended, and never raises.
    """

    asked: Asked
    directory: Path
    task: asyncio.Task[None]


def asked_of(plan: ModelPlan, number: int) -> Asked:
    """The order of a version; after a failed load, only another order is tried."""
    return (
        plan.name,
        number,
        number in plan.accepted,
        plan.retried.get(number, 0.0),
        plan.steps.get(number, ()),
    )
