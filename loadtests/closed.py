"""A closed loop: every connection sends its next request when it has its answer.

It measures throughput at a given concurrency. Its latencies are those of patient clients; the
latency of independent users is what `penstock.loadtests.open` measures.
"""

from __future__ import annotations

import time
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from .connections import Connections, collector_paused
from .outcome import OK, Outcome, Tally, refuse_wrong

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .cases import Case

#: How long an answer may take before the run counts as stuck.
TIMEOUT_SECONDS = 30.0


class ClosedLoop:
    """A number of connections, each with one request in flight, over several runs.

    Args:
        connections: What to send on; not used by anyone else meanwhile.
        cases: Asked in turn, so that no server can answer from a cache of one.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        connections: Connections,
        cases: Sequence[Case],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._connections = connections
        self._cases = cycle(cases)
        self._clock = clock

    def run(self, seconds: float) -> Outcome:
        """Load the server for ``seconds``.

        Raises:
            RunRefused: An answer was wrong, or none came for `TIMEOUT_SECONDS`.
        """
        connections, clock = self._connections, self._clock
        connections.tally = tally = Tally()
        with collector_paused():
            began = clock()
            for connection in connections:
                connections.start(connection, next(self._cases), began)
            self._exchange(began + seconds)
            elapsed = clock() - began
        right = len(tally.latencies)
        self._drain()
        return self._outcome(tally, elapsed, right)

    def _exchange(self, until: float) -> None:
        """The hot loop."""
        connections, cases, clock = self._connections, self._cases, self._clock
        start, settle, wait = connections.start, connections.settle, connections.wait
        heard = now = clock()
        while now < until:
            ready = wait(0.1)
            if ready:
                heard = now
            elif now - heard > TIMEOUT_SECONDS:
                break
            for connection in ready:
                now = clock()
                idle = settle(connection, now)
                if idle is not None:
                    start(idle, next(cases), now)
            now = clock()

    def _drain(self) -> None:
        """Take the answers still under way, which belong to no window, off the connections."""
        end = self._clock() + TIMEOUT_SECONDS
        while self._clock() < end and any(c.case is not None for c in self._connections):
            for connection in self._connections.wait(0.1):
                self._connections.settle(connection, self._clock())

    def _outcome(self, tally: Tally, elapsed: float, right: int) -> Outcome:
        unanswered = sum(c.case is not None for c in self._connections)
        refuse_wrong(tally)
        latencies = np.array(tally.latencies[:right])
        others = {status: n for status, n in tally.statuses.items() if status != OK}
        statuses = {OK: right, **others} if right else others
        offered = right + sum(others.values()) + tally.broken + unanswered
        return Outcome(
            seconds=elapsed,
            offered=offered,
            latencies=latencies,
            statuses=statuses,
            broken=tally.broken,
            unanswered=unanswered,
        )
