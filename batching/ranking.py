"""The order of queues: earliest deadline first, among models within their fair share. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .scheduled_model import Queue


#: How far a model may run ahead of the least served one, in seconds of execution per weight.
FAIRNESS_WINDOW_SECONDS: Final = 0.030


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
        lowest = min(lowest, share.virtual_time)
        least[share] = min(least.get(share, math.inf), scheduled.virtual_time)

    def urgency(queue: Queue) -> tuple[bool, bool, int, float, float, float]:
        scheduled = queue.owner
        share = scheduled.share
        ahead = (
            share.virtual_time - lowest > FAIRNESS_WINDOW_SECONDS
            or scheduled.virtual_time - least[share] > FAIRNESS_WINDOW_SECONDS
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
