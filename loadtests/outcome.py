"""What a run of load gave, and the figures made from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

OK = 200
_MILLISECONDS = 1e3
_MICROSECONDS = 1e6


class RunRefused(Exception):
    """The run does not measure the server, or the server answered wrongly; its figures lie."""


class GeneratorLagged(RunRefused):
    """The generator fell behind its schedule: the machine was busy, or the rate is too high."""


class BeyondCapacity(RunRefused):
    """Requests found every connection busy: latency was that of the queue."""


@dataclass(slots=True)
class Tally:
    """What a running generator counts.

    Attributes:
        latencies: Seconds, one per right answer.
        statuses: Complete responses by status.
        wrong: Answers with status 200 and a wrong body.
        first_fault: What was wrong with the first of them.
        broken: Connections that ended in the middle of an exchange.
    """

    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    wrong: int = 0
    first_fault: str = ""
    broken: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """One finished run.

    Attributes:
        seconds: Length of the measured window.
        offered: Requests that the load called for.
        latencies: Seconds of each right answer; in an open loop from its scheduled time.
        statuses: Complete responses by status.
        broken: Exchanges cut off by the server.
        unsent: Scheduled requests for which every connection was busy; they count as offered.
        unanswered: Sent, without a response when the run ended.
        lag_p99_seconds: How late the generator itself sent, 99th percentile; 0 in a closed loop.
    """

    seconds: float
    offered: int
    latencies: NDArray[np.float64]
    statuses: dict[int, int]
    broken: int = 0
    unsent: int = 0
    unanswered: int = 0
    lag_p99_seconds: float = 0.0

    @property
    def throughput(self) -> float:
        """Right answers per second."""
        return self.latencies.size / self.seconds

    def goodput(self, slo_seconds: float) -> float:
        """Right answers within the objective, per second."""
        return int(np.count_nonzero(self.latencies <= slo_seconds)) / self.seconds

    def attainment(self, slo_seconds: float) -> float:
        """The share of all offered requests that was answered right and in time."""
        return int(np.count_nonzero(self.latencies <= slo_seconds)) / max(1, self.offered)

    def quantile(self, q: float) -> float:
        """Seconds within which the share ``q`` of the right answers came; NaN without any."""
        return float(np.quantile(self.latencies, q)) if self.latencies.size else float("nan")


def refuse_wrong(tally: Tally) -> None:
    """Raise `RunRefused` when any answer was wrong: a fast wrong answer is worth nothing."""
    if tally.wrong:
        raise RunRefused(f"{tally.wrong} wrong answers; the first {tally.first_fault}")


def figures_of(outcome: Outcome, cpu_seconds: float, slo_seconds: float | None) -> dict[str, float]:
    """Figures of one window, each with its unit in its name.

    Args:
        outcome: The window.
        cpu_seconds: What the server's process tree used in it.
        slo_seconds: The objective of an open loop; ``None`` for a closed one, whose latencies say
            nothing of users who do not wait for each other.
    """
    right = max(1, outcome.latencies.size)
    figures = {
        "requests_per_second": outcome.throughput,
        "cpu_microseconds_per_request": cpu_seconds / right * _MICROSECONDS,
        "p50_milliseconds": outcome.quantile(0.5) * _MILLISECONDS,
        "p99_milliseconds": outcome.quantile(0.99) * _MILLISECONDS,
        "p999_milliseconds": outcome.quantile(0.999) * _MILLISECONDS,
        "unanswered": outcome.unanswered,
        "broken": outcome.broken,
    }
    if slo_seconds is not None:
        figures |= {
            "offered_per_second": outcome.offered / outcome.seconds,
            "goodput_per_second": outcome.goodput(slo_seconds),
            "attainment": outcome.attainment(slo_seconds),
            "unsent": outcome.unsent,
            "lag_p99_milliseconds": outcome.lag_p99_seconds * _MILLISECONDS,
        }
    return figures
