"""What an operator may set for one servable; every field can be replaced while it serves."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BatchingOptions:
    """Bounds and wishes of one servable. The defaults need no tuning.

    Attributes:
        max_batch_size: Most rows in one run.
        max_queue_rows: Most rows waiting, over all batch classes of the servable. A single larger
            request is taken when nothing else waits.
        slo_seconds: An answer later than this after arrival is worthless; infinite turns dropping
            off and leaves only the bounds on the queue.
        priority: Lower is more urgent, as in Triton; 0 stands for the default, 1.
        weight: Share of execution time against other models under contention.
        background: Runs only on time nobody else wants, loses its oldest requests instead of
            refusing new ones.
        max_queue_seconds: Longest predicted wait of a request without an SLO.
        max_hold_seconds: Longest wait for company while a thread is free. 0 is right on one
            machine; see ``docs/batching.md``.
    """

    max_batch_size: int = 64
    max_queue_rows: int = 4096
    slo_seconds: float = math.inf
    priority: int = 1
    weight: float = 1.0
    background: bool = False
    max_queue_seconds: float = 1.0
    max_hold_seconds: float = 0.0

    def __post_init__(self) -> None:
        for name, value in (
            ("max_batch_size", self.max_batch_size),
            ("max_queue_rows", self.max_queue_rows),
        ):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        for name, seconds in (
            ("slo_seconds", self.slo_seconds),
            ("weight", self.weight),
            ("max_queue_seconds", self.max_queue_seconds),
        ):
            if not seconds > 0:
                raise ValueError(f"{name} must be greater than 0, got {seconds}")
        if not self.max_hold_seconds >= 0:
            raise ValueError(f"max_hold_seconds must not be negative, got {self.max_hold_seconds}")
        if self.priority < 0:
            raise ValueError(f"priority must not be negative, got {self.priority}")

    @property
    def urgency(self) -> int:
        """The priority in effect."""
        return self.priority or 1

    @property
    def patience_seconds(self) -> float:
        """How long a request may predictably wait: the SLO, else the bound on the queue."""
        return self.slo_seconds if self.slo_seconds < math.inf else self.max_queue_seconds
