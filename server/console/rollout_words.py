"""A rollout in words: the same in a terminal and on a page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


def moment(seconds: float) -> str:
    """A time in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def says(kind: str, value: float | str, limit: float) -> str:
    """The effect of evidence of a kind of its own, and its threshold; or why it is held back."""
    if isinstance(value, str):
        return value
    if kind == "agreement":
        return f"passes at {limit:g}: the candidate agrees with stable"
    return f"holds at {limit:g}: scores are distributed differently, which may be right"


def held_words(comparison: dict[str, Any]) -> list[str]:
    """The reasons why intervals are not stated: each once, with the kinds of its events."""
    kinds: dict[str, list[str]] = {}
    for kind, one in comparison.items():
        if one["held"]:
            kinds.setdefault(one["held"], []).append(kind)
    return [f"not stated for {', '.join(names)}: {why}" for why, names in kinds.items()]


def interval_words(bounds: list[float | None] | None, form: str) -> str:
    """An interval; `form` is that of its bounds."""
    if bounds is None:
        return "not stated"
    low, high = bounds
    first = "-∞" if low is None else format(low, form)
    return f"{first} to {'∞' if high is None else format(high, form)}"


def plan_words(found: dict[str, Any]) -> str:
    """The forecast of a canary in words; `found` is as ``POST …/rollout/plan`` gives it."""
    if not found["traffic"]["requests_per_second"]:
        return "No request came in the last minute, so nothing can be foreseen."
    seconds = found["seconds"]
    takes = "it hardly ends" if seconds is None else f"it takes about {seconds / 60:,.0f} minutes"
    words = f"If version {found['candidate']} is as good as version {found['stable']}, {takes}"
    if not found["ends"]:
        limit = found["limit_seconds"] / 60
        words += f"; only {found['in_time']:.0%} end within the limit of {limit:,.0f} minutes"
    return ". ".join([words, *(_harm_words(*one, found["power"]) for one in _harms(found))]) + "."


def _harms(found: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    names = {"failed": "Failures", "slow": "Slow answers"}
    return [(names[kind], one) for kind, one in found["harms"].items()]


def _harm_words(name: str, harm: dict[str, Any], power: float) -> str:
    if harm["rate"] is None:
        return f"{name}: it sees none, whatever their number"
    rate, stable = harm["rate"], harm["stable"]
    return (
        f"{name}: it is taken back in {power:.0%} of cases from {rate:.3%} of requests on "
        f"(stable has {stable:.3%})"
    )


def cpu_words(cpu: dict[str, Any]) -> str:
    """The ratio of processor times, as far as it is known."""
    if cpu["ratio"] is None:
        return "not measured yet"
    interval = cpu["interval"]
    bounds = "" if interval is None else f", typically {interval[0]:.3g} to {interval[1]:.3g}"
    return f"{cpu['ratio']:.3g} times stable's{bounds}"
