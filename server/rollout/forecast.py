"""The forecast of a canary before it starts: how long it takes, and the smallest harm that it sees.

A pure function of the terms and of what stable serves now, by simulation
(`penstock.server.rollout.ramp_simulation`). `POWER` of the ramps roll back a candidate of the
smallest harm, others let it pass or are held at the deadline.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from .evidence import TOLERATED
from .ramp_simulation import StableTraffic, simulate
from .rollout_spec import FULL, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .ramp_simulation import Ramps
    from .rollout_spec import RolloutSpec

#: Share of ramps in which the smallest harm is seen.
POWER: Final = 0.8
#: A ramp of which fewer end within their limit is said to need a change.
LIKELY: Final = 0.9
#: Harm is sought up to so many halvings of the range.
_HALVINGS: Final = 9
_DAY: Final = 86_400.0
#: The harm that a person may want to see: twice as many bad requests.
_WANTED_RATIO: Final = 2.0


@dataclass(frozen=True, slots=True)
class StepForecast:
    """One step of a ramp whose candidate is as good as stable.

    Attributes:
        percent: Share of the candidate.
        requests_per_second: Of the candidate.
        seconds: Until half of all ramps have passed it; ``None`` if fewer ever do.
        decides: The condition that takes longest: ``hold_seconds``, ``requests`` or ``bad_rate``.
    """

    percent: float
    requests_per_second: float
    seconds: float | None
    decides: str


@dataclass(frozen=True, slots=True)
class Harm:
    """The smallest harm of a kind that is rolled back in `POWER` of the ramps.

    Attributes:
        stable: Share of stable's requests that are bad in this way.
        rate: Share of the candidate's, from which on it is rolled back before its promotion;
            ``None`` if even a candidate whose requests are all bad is not rolled back.
        watched_rate: The same before its watch ends, too; ``None`` without a watch, or as above.
    """

    stable: float
    rate: float | None
    watched_rate: float | None


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the terms, and its effect.

    Attributes:
        option: As ``canary start`` takes it, such as ``--min-requests 100``.
        seconds: Until half of the ramps of a candidate as good as stable are promoted.
        rate: The smallest share of failed requests that is rolled back then.
    """

    option: str
    seconds: float | None = None
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class Forecast:
    """The forecast of a canary.

    Attributes:
        traffic: The present traffic of stable, which the forecast assumes to stay.
        steps: One for each step.
        seconds: Until half of the ramps of a candidate as good as stable are promoted; ``None`` if
            fewer ever are.
        late_seconds: Until nine in ten are; ``None`` likewise.
        limit_seconds: When a ramp that has come to no end is held; 0 for never.
        in_time: Share of these ramps that are promoted within the limit.
        aborted: Share of these ramps that are rolled back, wrongly.
        harms: By kind, ``failed`` and ``slow``.
        to_end: Changes with which it ends within its limit; empty if it does.
        to_see: Changes with which twice as many failures are seen; empty if they are.
    """

    traffic: StableTraffic
    steps: tuple[StepForecast, ...]
    seconds: float | None
    late_seconds: float | None
    limit_seconds: float
    in_time: float
    aborted: float
    harms: dict[str, Harm]
    to_end: tuple[Change, ...]
    to_see: tuple[Change, ...]


def forecast(spec: RolloutSpec, traffic: StableTraffic) -> Forecast:
    """Forecast a canary with these terms.

    Args:
        spec: Terms of a canary.
        traffic: The present traffic of stable, which is assumed to stay. Shares of bad requests
            that are 0 make the smallest harm look smaller than it is: give what may hide in so few
            requests.
    """
    healthy = _healthy(spec, traffic)
    in_time = float(healthy.passed.mean())
    idle = not traffic.requests_per_second  # then no change helps
    harms = {kind: _harm(spec, traffic, kind) for kind in ("failed", "slow")}
    return Forecast(
        traffic=traffic,
        steps=tuple(_steps(spec, traffic, healthy)),
        seconds=_quantile(healthy, 0.5),
        late_seconds=_quantile(healthy, 0.9),
        limit_seconds=spec.deadline_seconds,
        in_time=in_time,
        aborted=float(healthy.aborted.mean()),
        harms=harms,
        to_end=() if idle or in_time >= LIKELY else tuple(_to_end(spec, traffic)),
        to_see=() if idle or _sees(harms["failed"]) else tuple(_to_see(spec, traffic)),
    )


def _healthy(spec: RolloutSpec, traffic: StableTraffic) -> Ramps:
    return simulate(spec, traffic, traffic.failed, traffic.slow)


def _quantile(ramps: Ramps, share: float) -> float | None:
    """Seconds until this share of all ramps has passed."""
    seconds = np.sort(np.where(ramps.passed, ramps.seconds, np.inf))
    found = float(seconds[math.ceil(share * len(seconds)) - 1])
    return found if math.isfinite(found) else None


def _steps(spec: RolloutSpec, traffic: StableTraffic, healthy: Ramps) -> Iterable[StepForecast]:
    for place, percent in enumerate(spec.ramp(Kind.CANARY)):
        speed = traffic.requests_per_second * percent / FULL
        took = healthy.steps[:, place]
        seconds = float(np.median(took[np.isfinite(took)])) if np.isfinite(took).any() else None
        if np.isfinite(took).mean() < 0.5:  # noqa: PLR2004  half of all
            seconds = None
        wait = spec.min_requests / speed if speed else math.inf
        decides = "requests" if wait > spec.hold_seconds else "hold_seconds"
        soonest = max(wait, spec.hold_seconds)
        if math.isfinite(soonest) and (seconds is None or seconds > 1.01 * soonest):
            decides = "bad_rate"
        if spec.deadline_seconds and soonest > spec.deadline_seconds:
            decides = "requests" if wait > spec.hold_seconds else "hold_seconds"
        yield StepForecast(percent, speed, seconds, decides)


def _harm(spec: RolloutSpec, traffic: StableTraffic, kind: str) -> Harm:
    base = getattr(traffic, kind)

    def run(rate: float) -> Ramps:
        bad = {"failed": traffic.failed, "slow": traffic.slow, kind: rate}
        return simulate(spec, traffic, bad["failed"], bad["slow"])

    rate = _smallest(base, lambda rate: float(run(rate).aborted.mean()))
    watched = None
    if spec.watch_seconds and spec.promotes:
        watched = _smallest(base, lambda rate: float(run(rate).taken_back.mean()))
    return Harm(base, rate, watched)


def _smallest(base: float, seen: Callable[[float], float]) -> float | None:
    """The smallest share of bad requests that is seen in `POWER` of the ramps."""
    if seen(1.0) < POWER:
        return None
    low, high = max(1e-7, TOLERATED * base), 1.0
    if low >= high:
        return high
    for _ in range(_HALVINGS):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if seen(middle) >= POWER else (middle, high)
    return high


def _sees(harm: Harm) -> bool:
    return harm.rate is not None and harm.rate <= _WANTED_RATIO * harm.stable


def _to_end(spec: RolloutSpec, traffic: StableTraffic) -> Iterable[Change]:
    """For each lever the first change with which most ramps end within their limit."""
    shares = spec.steps
    levers: tuple[Iterable[tuple[str, RolloutSpec]], ...] = (
        (
            (
                f"--steps {','.join(f'{one:g}' for one in shares[first:])}",
                replace(spec, steps=shares[first:]),
            )
            for first in range(1, len(spec.ramp(Kind.CANARY)))
        ),
        (
            (f"--min-requests {few}", replace(spec, min_requests=few))
            for few in (200, 100, 50, 20)
            if few < spec.min_requests
        ),
        (
            (f"--max-bad-percent {most:g}", replace(spec, max_bad_percent=most))
            for most in (spec.max_bad_percent * times for times in (1.5, 2.0, 3.0, 5.0, 10.0))
            if most <= FULL
        ),
        (
            (f"--deadline {days:g}d", replace(spec, deadline_seconds=days * _DAY))
            for days in (2, 3, 5, 7, 14, 30, 90)
            if days * _DAY > spec.deadline_seconds
        ),
    )
    for lever in levers:
        for option, changed in lever:
            healthy = _healthy(changed, traffic)
            if healthy.passed.mean() >= LIKELY:
                yield Change(option, _quantile(healthy, 0.5))
                break


def _to_see(spec: RolloutSpec, traffic: StableTraffic) -> Iterable[Change]:
    """For each lever the first change with which twice as many failures are seen."""
    levers: tuple[Iterable[tuple[str, RolloutSpec]], ...] = (
        (
            (f"--min-requests {many}", replace(spec, min_requests=many))
            for many in (spec.min_requests * times for times in (3, 10, 30, 100))
        ),
        (
            (f"--hold {_duration(seconds)}", replace(spec, hold_seconds=seconds))
            for seconds in (max(60.0, spec.hold_seconds) * times for times in (3, 10, 30, 100))
        ),
    )
    for lever in levers:
        for option, changed in lever:
            rate = min(1.0, _WANTED_RATIO * traffic.failed)
            seen = simulate(changed, traffic, rate, traffic.slow).aborted.mean()
            healthy = _healthy(changed, traffic)
            if seen >= POWER and healthy.passed.mean() >= LIKELY:
                yield Change(option, _quantile(healthy, 0.5), rate)
                break


def _duration(seconds: float) -> str:
    """A duration in the form that an option takes."""
    for size, name in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{name}"
    return f"{seconds:g}s"
