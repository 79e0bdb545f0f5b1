"""The plan of a canary: what its forecast rests on, and the forecast as JSON. Pure."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.metrics import layout
from penstock.monitoring.metrics.latency_quantile import share_above
from penstock.server.errors import InvalidRequest
from penstock.server.files.option_decoder import finite
from penstock.server.rollout.forecast import LIKELY, POWER, forecast
from penstock.server.rollout.ramp_simulation import StableTraffic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from penstock.server.rollout.rollout_spec import RolloutSpec

    from .traffic import Traffic

#: What a caller may suppose in the place of what is measured, and the largest value.
SUPPOSED: Final[dict[str, float]] = {
    "requests_per_second": 1e9,
    "failed_percent": 100.0,
    "slow_percent": 100.0,
}


def measured(
    figures: Mapping[tuple[str, str], Traffic],
    slots: Sequence[int] | None,
    model: str,
    stable: int,
    slow_seconds: float,
) -> StableTraffic:
    """What stable serves now.

    A share of bad requests that was never seen may hide in few requests: half a request is added.

    Args:
        figures: Traffic by model and version.
        slots: Counters of the stable version; ``None`` if it has none.
        model: Name of the model.
        stable: The stable version.
        slow_seconds: From when on an answer is slow; 0 for never.
    """
    speed = sum(one.requests_per_second for (name, _), one in figures.items() if name == model)
    own = figures.get((model, str(stable)))
    failed, requests = (0, 0) if own is None else (own.errors, own.requests)
    slow = 0.0
    if slots is not None and slow_seconds:
        slow = share_above(slots[layout.LATENCY.first : layout.LATENCY.total], slow_seconds)
    half = 0.5 / (requests + 1.0)
    return StableTraffic(
        requests_per_second=speed,
        failed=min(1.0, failed / (requests + 1.0) + half),
        slow=min(1.0, slow + half) if slow_seconds else 0.0,
    )


def supposed(traffic: StableTraffic, asked: Mapping[str, Any]) -> StableTraffic:
    """The traffic with what the caller supposes of it.

    Raises:
        InvalidRequest: A value is no number of its range.
    """
    values = {}
    for key, most in SUPPOSED.items():
        if key in asked:
            number = finite(asked[key])
            if number is None or not 0 <= number <= most:
                raise InvalidRequest(
                    f"{key} is {asked[key]!r}, expected a number from 0 to {most:g}"
                )
            values[key] = number
    return replace(
        traffic,
        requests_per_second=values.get("requests_per_second", traffic.requests_per_second),
        failed=values.get("failed_percent", 100.0 * traffic.failed) / 100.0,
        slow=values.get("slow_percent", 100.0 * traffic.slow) / 100.0,
    )


def plan(
    model: str, versions: tuple[int, int], spec: RolloutSpec, traffic: StableTraffic
) -> dict[str, Any]:
    """The answer. It takes some tenths of a second of a processor.

    Args:
        model: Name of the model.
        versions: Stable, and the candidate.
        spec: Terms of the canary.
        traffic: What stable serves.
    """
    found = forecast(spec, traffic)
    return {
        "model": model,
        "stable": versions[0],
        "candidate": versions[1],
        "terms": asdict(spec),
        "ends": found.in_time >= LIKELY,
        "likely": LIKELY,
        "power": POWER,
        **asdict(found),
    }
