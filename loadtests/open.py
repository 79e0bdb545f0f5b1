"""An open loop: requests leave by a schedule drawn before the run, whatever the server does.

Latency counts from the scheduled send, so a stall of the server is seen by every request that
should have been sent meanwhile. A generator that falls behind its own schedule measures itself:
such a run is refused.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from .connections import Connection, Connections, collector_paused
from .outcome import OK, GeneratorLagged, Outcome, Tally, refuse_wrong

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .cases import Case
    from .schedule import Schedule

#: A run is refused when 1 % of its requests left later than this after their schedule.
LAG_LIMIT_SECONDS = 0.001
#: Below this, epoll's millisecond timer is too coarse: the generator spins on its own core.
_SPIN_SECONDS = 0.002
#: Answers are read at least after this many sends, so that catching up does not delay them.
_SENDS_PER_TURN = 16


class OpenLoop:
    """Sends a schedule over a pool of connections.

    A scheduled request that finds every connection busy is not sent; it counts as offered and
    missed, not as lag. The pool is therefore the largest number of requests in flight.

    Args:
        connections: The pool; not used by anyone else meanwhile.
        cases: Asked in turn.
        clock: Monotonic seconds.
        lag_limit_seconds: Of the 99th percentile; a later generator refuses its run.
    """

    def __init__(
        self,
        connections: Connections,
        cases: Sequence[Case],
        clock: Callable[[], float] = time.perf_counter,
        lag_limit_seconds: float = LAG_LIMIT_SECONDS,
    ) -> None:
        self._connections = connections
        self._cases = cases
        self._clock = clock
        self._lag_limit = lag_limit_seconds

    def run(self, schedule: Schedule, *, timeout_seconds: float = 2.0) -> Outcome:
        """Send the schedule and wait at most ``timeout_seconds`` for the last answers.

        Raises:
            RunRefused: An answer was wrong.
            GeneratorLagged: 1 % of the requests left later than the limit.
        """
        if not schedule.size:
            raise ValueError("expected a schedule with at least one request")
        self._connections.tally = tally = Tally()
        lags: list[float] = []
        with collector_paused():
            unsent = self._send_all(schedule.tolist(), lags)
            self._await_answers(timeout_seconds)
        refuse_wrong(tally)
        lag = float(np.quantile(lags, 0.99)) if lags else 0.0
        if lag > self._lag_limit:
            raise GeneratorLagged(
                f"the generator sent late: 99th percentile {lag * 1e3:.2f} ms after schedule, at "
                f"most {self._lag_limit * 1e3:.0f} ms is allowed; use a lower rate or a free core"
            )
        others = {status: n for status, n in tally.statuses.items() if status != OK}
        right = len(tally.latencies)
        return Outcome(
            seconds=float(schedule[-1]),
            offered=int(schedule.size),
            latencies=np.array(tally.latencies),
            statuses={OK: right, **others} if right else others,
            broken=tally.broken,
            unsent=unsent,
            unanswered=sum(c.case is not None for c in self._connections),
            lag_p99_seconds=lag,
        )

    def _send_all(self, times: list[float], lags: list[float]) -> int:
        """The hot loop; returns how many found every connection busy."""
        connections, cases, clock = self._connections, self._cases, self._clock
        idle: deque[Connection] = deque(c for c in connections if c.case is None)
        unsent, position, count = 0, 0, len(times)
        began = clock()
        while position < count:
            now = clock() - began
            turn_end = min(count, position + _SENDS_PER_TURN)
            while position < turn_end and times[position] <= now:
                due = times[position]
                if idle:
                    connections.start(idle.popleft(), cases[position % len(cases)], began + due)
                    lags.append(now - due)
                    now = clock() - began
                else:
                    unsent += 1
                position += 1
            gap = times[position] - now if position < count else 0.0
            for connection in connections.wait(gap - _SPIN_SECONDS if gap > _SPIN_SECONDS else 0):
                free = connections.settle(connection, clock())
                if free is not None:
                    idle.append(free)
        return unsent

    def _await_answers(self, timeout_seconds: float) -> None:
        connections, clock = self._connections, self._clock
        end = clock() + timeout_seconds
        while clock() < end and any(c.case is not None for c in connections):
            for connection in connections.wait(0.01):
                connections.settle(connection, clock())
