"""The dispatch rules of other servers, reduced to what matters, on the same virtual threads."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from simulator import Outcome, VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np


class Rival:
    """FIFO, dispatched to free threads as the rule says. Never drops unless told so."""

    max_rows = 32

    def __init__(
        self, seconds: Callable[[int], float], slo_seconds: float, threads: int = 2
    ) -> None:
        self.loop = VirtualLoop()
        self.seconds = seconds
        self.outcome = Outcome(slo_seconds)
        self.free = threads
        self.waiting: deque[float] = deque()

    def size(self) -> int:
        """Rows to dispatch now, 0 to wait."""
        return min(len(self.waiting), self.max_rows)

    def wake_at(self) -> float:
        """When to look again although nothing has happened."""
        return math.inf

    def prune(self) -> None:
        """Drop what the rule drops."""

    def run(self, times: np.ndarray) -> Outcome:
        outcome = self.outcome
        outcome.offered, outcome.first, outcome.last = len(times), times[0], times[-1]
        for time in times:
            self.loop.call_at(float(time), self._arrive, float(time))
        self.loop.run()
        return outcome

    def _arrive(self, time: float) -> None:
        self.waiting.append(time)
        self._dispatch()

    def _dispatch(self) -> None:
        self.prune()
        while self.free and self.waiting and (rows := self.size()):
            batch = [self.waiting.popleft() for _ in range(rows)]
            self.free -= 1
            self.outcome.batches.append(rows)
            self.loop.call_later(self.seconds(rows), self._finish, batch)
            self.prune()
        if self.free and self.waiting and (when := self.wake_at()) < math.inf:
            self.loop.call_at(max(when, self.loop.now + 1e-6), self._dispatch)

    def _finish(self, batch: list[float]) -> None:
        self.free += 1
        for arrival in batch:
            self.outcome.latencies.append(self.loop.now - arrival)
            self.outcome.completions.append(self.loop.now)
        self._dispatch()


class Single(Rival):
    """No batching."""

    max_rows = 1


class Timeout(Rival):
    """Wait for a full batch or 5 ms (MLServer, mosec, LitServe, Ray Serve)."""

    delay_seconds = 0.005

    def size(self) -> int:
        full = len(self.waiting) >= self.max_rows
        ripe = self.loop.now >= self.wake_at() - 1e-9
        return min(len(self.waiting), self.max_rows) if full or ripe else 0

    def wake_at(self) -> float:
        return self.waiting[0] + self.delay_seconds


class Greedy(Rival):
    """Whatever waits goes to a free thread (Triton without delay, TensorFlow Serving)."""


class DropExpired(Rival):
    """Greedy, without heads that cannot be answered in time any more."""

    def prune(self) -> None:
        while self.waiting and self.slack() < self.seconds(1):
            self.waiting.popleft()
            self.outcome.refusals["deadline"] += 1

    def slack(self) -> float:
        return self.waiting[0] + self.outcome.slo_seconds - self.loop.now

    def size(self) -> int:
        rows = min(len(self.waiting), self.max_rows)
        while rows > 1 and self.seconds(rows) > self.slack():
            rows -= 1
        return rows


class Deferred(DropExpired):
    """Start as late as the head's deadline allows one row more (Symphony)."""

    def size(self) -> int:
        rows = super().size()
        late = self.loop.now >= self.wake_at() - 1e-9
        return rows if rows == self.max_rows or rows < len(self.waiting) or late else 0

    def wake_at(self) -> float:
        rows = min(len(self.waiting), self.max_rows)
        return self.waiting[0] + self.outcome.slo_seconds - self.seconds(rows + 1)
