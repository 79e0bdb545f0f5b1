"""The orders of a rollout to the data plane: share requests, or copy them. Plain values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003  msgspec reads the annotations


@dataclass(frozen=True, slots=True)
class Split:
    """Requests that name no version are shared between the default and a candidate.

    The default is arm ``stable``, the candidate arm ``canary``.

    Attributes:
        rollout: Id of the rollout; salts the choice, so that each rollout chooses anew.
        candidate: The version that arm ``canary`` is served by.
        percent: Share of arm ``canary``, 0 to 100.
        sticky: Name of the request header whose value decides, so that a user stays in one arm;
            empty to decide by request id.
        fallback: Whether a request that fails by the candidate's fault is answered by the default.
        slow_seconds: A longer latency counts as slow, as long as too little is known of stable's
            latency at the time; 0 for none.
        slow_factor: So many times stable's 99th percentile of the time is slow; 0 if `slow_seconds`
            always says.
        slo_seconds: An answer within this time is never slow; 0 for none.
        stable: The version of arm ``stable``; 0 for the default.
        watching: Whether the candidate was promoted. Then the units that it had first are stable's,
            so that it has had each unit at some time.
        warm_up_requests: First requests of the candidate in each process that are never slow.
        warm_up_seconds: The same of the time after its first request in a process.
        segments: Fields that divide the requests into segments, each of which is counted.
    """

    rollout: str
    candidate: int
    percent: float
    sticky: str = ""
    fallback: bool = True
    slow_seconds: float = 0.0
    slow_factor: float = 0.0
    slo_seconds: float = 0.0
    warm_up_requests: int = 0
    warm_up_seconds: float = 0.0
    stable: int = 0
    watching: bool = False
    segments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mirror:
    """A copy of what the default serves goes to the shadow process.

    Attributes:
        rollout: Id of the rollout; salts the choice of requests.
        candidate: The version that the shadow process runs.
        directory: Directory that it is loaded from; ``None`` for that of the registry.
        percent: Share of the requests, 0 to 100.
    """

    rollout: str
    candidate: int
    directory: Path | None
    percent: float
