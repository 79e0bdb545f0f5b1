"""When requests are sent: arrival schedules drawn before a run, so that no server can slow them.

A closed loop waits for the slow server and so leaves out exactly the requests that would have been
slow ("coordinated omission"). An open loop sends by a schedule; latency counts from it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Seconds since the start of the run, ascending.
Schedule = NDArray[np.float64]


def poisson(rate: float, seconds: float, rng: np.random.Generator) -> Schedule:
    """Independent users: exponential gaps (coefficient of variation 1)."""
    return gamma(rate, seconds, rng, cv=1.0)


def gamma(rate: float, seconds: float, rng: np.random.Generator, *, cv: float) -> Schedule:
    """Gamma-distributed gaps: the same mean rate in bursts (``cv`` > 1) or in step (``cv`` < 1).

    Args:
        rate: Mean arrivals per second.
        seconds: Length of the schedule.
        rng: Where the randomness comes from.
        cv: Coefficient of variation of the gaps, > 0.
    """
    _check(rate, seconds)
    if cv <= 0:
        raise ValueError(f"cv must be positive, got {cv}")
    shape = 1.0 / (cv * cv)
    count = int(rate * seconds + 6.0 * cv * np.sqrt(rate * seconds) + 16.0)
    times = np.cumsum(rng.gamma(shape, 1.0 / (rate * shape), count))
    while times[-1] < seconds:
        times = np.append(times, times[-1] + np.cumsum(rng.gamma(shape, 1.0 / (rate * shape), 64)))
    return times[times < seconds]


def on_off(
    rate: float,
    seconds: float,
    rng: np.random.Generator,
    *,
    factor: float = 5.0,
    on_seconds: float = 0.2,
    period_seconds: float = 2.0,
) -> Schedule:
    """Poisson arrivals whose rate is ``factor`` times higher at the beginning of each period.

    A unit-rate Poisson process is mapped through the inverse of the cumulative rate, which is
    exact for a rate that is constant in pieces.

    Args:
        rate: Mean arrivals per second over a whole period.
        seconds: Length of the schedule.
        rng: Where the randomness comes from.
        factor: Rate while on divided by rate while off.
        on_seconds: Length of each burst.
        period_seconds: From burst to burst.
    """
    _check(rate, seconds)
    if not 0 < on_seconds < period_seconds or factor <= 0:
        raise ValueError(
            f"expected 0 < on_seconds < period_seconds and factor > 0, got {on_seconds}, "
            f"{period_seconds}, {factor}"
        )
    off_rate = rate * period_seconds / (period_seconds + (factor - 1.0) * on_seconds)
    starts = np.arange(0.0, seconds, period_seconds)
    edges = np.append(
        np.sort(np.concatenate([starts, starts + on_seconds])), starts[-1] + period_seconds
    )
    rates = np.resize([factor * off_rate, off_rate], edges.size - 1)
    expected = np.concatenate([[0.0], np.cumsum(rates * np.diff(edges))])
    times: Schedule = np.interp(poisson(1.0, float(expected[-1]), rng), expected, edges)
    return times[times < seconds]


def draw(arrivals: str, rate: float, seconds: float, seed: int) -> Schedule:
    """A schedule from its name: ``poisson``, ``gamma:CV`` or ``on-off[:FACTOR]``.

    Raises:
        ValueError: The name or its number is unknown.
    """
    rng = np.random.default_rng(seed)
    name, _, parameter = arrivals.partition(":")
    if name == "poisson" and not parameter:
        return poisson(rate, seconds, rng)
    if name == "gamma" and parameter:
        return gamma(rate, seconds, rng, cv=float(parameter))
    if name == "on-off":
        return on_off(rate, seconds, rng, factor=float(parameter or 5.0))
    raise ValueError(f"expected poisson, gamma:CV or on-off[:FACTOR], got {arrivals!r}")


def _check(rate: float, seconds: float) -> None:
    if rate <= 0 or seconds <= 0:
        raise ValueError(f"rate and seconds must be positive, got {rate} and {seconds}")
