"""The latency from which on an answer is slow: a multiple of stable's at the same time.

A limit that is fixed when the rollout begins calls everything slow in an hour of high load, and a
99th percentile makes 1 % of healthy requests slow by definition. Here the limit is a multiple of
stable's 99th percentile over the last minute, so that both arms are measured by what the machine
does now. It is the same for both arms, and fixed before the answers that it judges; so it leaves
the law of `penstock.server.rollout.arm_evidence` as it is.

The percentile is that of the process's latency histogram, linear within a bucket; nothing is
counted for it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from penstock.monitoring.metrics.latency_quantile import latency_quantile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Between two looks at the histogram.
LOOK_SECONDS: Final = 1.0
#: Answers of stable in that time decide.
WINDOW_SECONDS: Final = 60.0
#: With fewer answers the window reaches further back; with fewer at all the first limit holds.
LEAST_ANSWERS: Final = 200
#: Looks that are kept.
MAX_LOOKS: Final = 120
#: However slow stable becomes, the limit is no more than so many times the first one.
MOST: Final = 10.0
_RANK: Final = 0.99


class SlowLimit:
    """The limit in one process.

    Args:
        first: The limit in seconds while too little is known; 0 for none.
        factor: So many times stable's percentile; 0 if the first limit always holds.
        objective: Seconds; an answer within them is never slow. 0 for none.
        read: The counts of the histogram's buckets by now.
    """

    __slots__ = ("_factor", "_first", "_looks", "_next", "_objective", "_read", "value")

    def __init__(
        self,
        first: float,
        factor: float,
        objective: float,
        read: Callable[[], Sequence[int]],
    ) -> None:
        self._first = first
        self._factor = factor
        self._objective = objective
        self._read = read
        self._looks: deque[tuple[float, list[int]]] = deque(maxlen=MAX_LOOKS)
        self._next = 0.0
        #: Seconds; 0 for none.
        self.value = first

    def at(self, now: float) -> float:
        """The limit now, in seconds; 0 for none.

        Args:
            now: Seconds of any clock that never goes back.
        """
        if now >= self._next and self._factor:
            self._next = now + LOOK_SECONDS
            self._look(now)
        return self.value

    def _look(self, now: float) -> None:
        counts, looks = list(self._read()), self._looks
        looks.append((now, counts))
        while self._enough(looks[min(1, len(looks) - 1)], now, counts):
            looks.popleft()
        answers = [after - before for after, before in zip(counts, looks[0][1], strict=True)]
        if sum(answers) < LEAST_ANSWERS:
            return
        limit = max(self._objective, self._factor * (latency_quantile(answers, _RANK) or 0.0))
        self.value = min(limit, MOST * self._first) if self._first else limit

    @staticmethod
    def _enough(look: tuple[float, list[int]], now: float, counts: list[int]) -> bool:
        """Whether the answers since a look are enough, and the look is old enough."""
        at, before = look
        return now - at >= WINDOW_SECONDS and sum(counts) - sum(before) >= LEAST_ANSWERS
