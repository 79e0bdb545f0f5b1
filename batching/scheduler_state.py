"""The state that the policy reads: waiting queues, running batches, and use of the threads."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .request import Batch
    from .scheduled_model import FairShare, Queue

#: Time constant of the utilisation.
UTILISATION_SECONDS: Final = 0.1
#: A smaller utilisation counts as none.
NOTHING: Final = 1e-3
#: Part by which one batch moves the 95th percentile of the time it takes besides its run.
ANSWER_STEP: Final = 0.05


class SchedulerState:
    """The snapshot that `policy.consider` reads and the dispatcher keeps up to date.

    Attributes:
        active: Queues with waiting requests.
        shares: The share of every registered model.
        threads: Execution threads.
        free: Execution threads without work.
        background_runs: Running batches of background work.
        long_runs: Running batches that are long enough to hurt another model.
        inline_limit: Longest predicted run on the event loop, seconds.
        inline_left: Seconds of the event loop that this tick may still spend on runs.
        answer_seconds: Seconds to start and to answer a batch, without its run; 95th percentile.
        utilisation: Part of the threads busy lately.
        least_tolerable_delay: The least `FairShare.tolerable_delay_seconds`.
        virtual_time: Virtual time of the share served last; an idle share starts from it.
        ends: Predicted end of each run on an execution thread, by batch.
    """

    __slots__ = (
        "_utilisation_at",
        "active",
        "answer_seconds",
        "background_runs",
        "ends",
        "free",
        "inline_left",
        "inline_limit",
        "least_tolerable_delay",
        "long_runs",
        "shares",
        "threads",
        "utilisation",
        "virtual_time",
    )

    def __init__(self, threads: int, inline_limit: float) -> None:
        self.active: list[Queue] = []
        self.shares: dict[str, FairShare] = {}
        self.threads = threads
        self.free = threads
        self.background_runs = 0
        self.long_runs = 0
        self.inline_limit = inline_limit
        self.inline_left = 0.0
        self.answer_seconds = 50e-6
        self.utilisation = 0.0
        self.least_tolerable_delay = math.inf
        self.virtual_time = 0.0
        self.ends: dict[Batch, float] = {}
        self._utilisation_at = 0.0

    def update_least_delay(self) -> None:
        """Compute the least tolerable delay of all models again."""
        self.least_tolerable_delay = min(
            (share.tolerable_delay_seconds for share in self.shares.values()), default=math.inf
        )

    def update_utilisation(self, now: float) -> None:
        """Update the utilisation; called before `free` changes."""
        busy = 1 - self.free / self.threads
        fade = math.exp((self._utilisation_at - now) / UTILISATION_SECONDS)
        utilisation = busy + (self.utilisation - busy) * fade
        self.utilisation = utilisation if utilisation > NOTHING else 0.0
        self._utilisation_at = now

    def next_free(self, now: float) -> float:
        """When a thread is predicted to be free."""
        return now if self.free or not self.ends else max(now, min(self.ends.values()))

    def note_answer(self, seconds: float) -> None:
        """Update the 95th percentile of the seconds that a batch takes without its run."""
        step = ANSWER_STEP * self.answer_seconds
        above = seconds > self.answer_seconds
        self.answer_seconds = max(1e-6, self.answer_seconds + step * (0.95 if above else -0.05))
