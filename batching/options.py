"""The batching options of one model; each can be changed while the model serves."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

#: Upper bounds. A model is warmed up with the largest run, so a mistyped number would take all
#: memory of the process and end every other model.
MOST_ROWS: Final = {"max_batch_size": 65_536, "max_queue_rows": 1 << 24}
MAX_WEIGHT: Final = 1e6
MAX_HOLD_SECONDS: Final = 60.0
MAX_PRIORITY: Final = 1_000_000
#: Background rows of a model that may wait, for each row of its other requests that may.
BACKGROUND_QUEUES: Final = 16


@dataclass(frozen=True, slots=True)
class BatchingOptions:
    """Batching options of one model. The defaults need no tuning.

    Attributes:
        max_batch_size: Most rows in one run.
        max_queue_rows: Most rows waiting, over all batch classes of the servable. A single larger
            request is taken when nothing else waits.
        slo_seconds: An answer later than this after arrival is worthless; infinite turns dropping
            off and leaves only the bounds on the queue.
        priority: Lower is more urgent, as in Triton; 0 stands for the default, 1.
        weight: Share of execution time against other models under contention.
        background: Whether it runs only on idle time, and drops its oldest requests in place of
            refusing new ones.
        max_queue_seconds: Longest predicted wait of a request without an SLO.
        max_hold_seconds: Longest wait for further requests while a thread is free. 0 is right on
            one machine; see ``docs/batching.md``.
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
        for name, most in MOST_ROWS.items():
            value = getattr(self, name)
            if not 1 <= value <= most:
                raise ValueError(f"{name} must be at least 1 and at most {most}, got {value}")
        for name, seconds in (
            ("slo_seconds", self.slo_seconds),
            ("weight", self.weight),
            ("max_queue_seconds", self.max_queue_seconds),
        ):
            if not seconds > 0:
                raise ValueError(f"{name} must be greater than 0, got {seconds}")
        if not self.weight <= MAX_WEIGHT:
            raise ValueError(f"weight must be at most {MAX_WEIGHT:g}, got {self.weight}")
        if not 0 <= self.max_hold_seconds <= MAX_HOLD_SECONDS:
            raise ValueError(
                f"max_hold_seconds must not be negative, at most {MAX_HOLD_SECONDS:g}, "
                f"got {self.max_hold_seconds}"
            )
        if not 0 <= self.priority <= MAX_PRIORITY:
            raise ValueError(
                f"priority must not be negative, at most {MAX_PRIORITY}, got {self.priority}"
            )

    def of_background(self) -> BatchingOptions:
        """The options of a version's background requests, which nobody waits for."""
        return replace(
            self,
            background=True,
            max_queue_rows=min(
                BACKGROUND_QUEUES * self.max_queue_rows, MOST_ROWS["max_queue_rows"]
            ),
            slo_seconds=math.inf,
            max_hold_seconds=0.0,
        )

    @property
    def urgency(self) -> int:
        """The priority in effect."""
        return self.priority or 1

    @property
    def tolerable_delay_seconds(self) -> float:
        """Longest predicted wait of a request: the SLO, or without one the bound on the queue."""
        return self.slo_seconds if self.slo_seconds < math.inf else self.max_queue_seconds
