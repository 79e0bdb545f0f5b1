"""The plan of a canary: what its forecast rests on, and the forecast as JSON. Pure."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from penstock.monitoring.files.decoding import convert
from penstock.monitoring.metrics import layout
from penstock.monitoring.metrics.latency_quantile import share_above
from penstock.server.errors import InvalidRequest
from penstock.server.rollout.forecast import LIKELY, POWER, forecast
from penstock.server.rollout.ramp_simulation import StableTraffic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from penstock.server.rollout.rollout_spec import RolloutSpec

    from .traffic import Traffic

_Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]


class _Supposed(msgspec.Struct):
    """What a caller may suppose in the place of what is measured."""

    requests_per_second: Annotated[float, msgspec.Meta(ge=0, le=1e9)] | None = None
    failed_percent: _Percent | None = None
    slow_percent: _Percent | None = None


#: Keys of `_Supposed`.
SUPPOSED: Final = _Supposed.__struct_fields__


def measured(
    figures: Mapping[tuple[str, str], Traffic],
    slots: Sequence[int] | None,
    model: str,
    stable: int,
    slow_seconds: float,
) -> StableTraffic:
    """The traffic that stable serves now.

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
    said = convert(_Supposed, dict(asked), "", error=InvalidRequest)
    values = {
        "requests_per_second": said.requests_per_second,
        "failed": said.failed_percent and said.failed_percent / 100.0,
        "slow": said.slow_percent and said.slow_percent / 100.0,
    }
    return replace(traffic, **{key: one for key, one in values.items() if one is not None})


def plan(
    model: str, versions: tuple[int, int], spec: RolloutSpec, traffic: StableTraffic
) -> dict[str, Any]:
    """The answer. It takes some tenths of a second of a processor.

    Args:
        model: Name of the model.
        versions: Stable, and the candidate.
        spec: Terms of the canary.
        traffic: Traffic of stable.
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
