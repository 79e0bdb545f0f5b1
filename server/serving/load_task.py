"""A load in progress, and what was asked with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

    from penstock.server.target.plan import ModelPlan

#: Model, version, whether an operator accepts it, when one last asked to try it again.
Asked = tuple[str, int, bool, float]


@dataclass(frozen=True, slots=True)
class Loading:
    """A load in progress.

    Attributes:
        asked: What was asked.
        directory: Where the version comes from.
        task: Ends when the load has ended, and never raises.
    """

    asked: Asked
    directory: Path
    task: asyncio.Task[None]


def asked_of(plan: ModelPlan, number: int) -> Asked:
    """What is asked of a version; if that failed, only another question is tried."""
    return plan.name, number, number in plan.accepted, plan.retried.get(number, 0.0)
