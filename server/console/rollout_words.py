"""What is told of a rollout in words: the same in a terminal and on a page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


def moment(seconds: float) -> str:
    """A time in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def says(kind: str, value: float | str, limit: float) -> str:
    """What evidence of a kind of its own leads to, and from where on; or why it is held back."""
    if isinstance(value, str):
        return value
    if kind == "agreement":
        return f"passes at {limit:g}: the candidate agrees with stable"
    return f"holds at {limit:g}: scores are distributed differently, which may be right"


def held_words(comparison: dict[str, Any]) -> list[str]:
    """Why intervals are not stated: each reason once, with the kinds of events that it is about."""
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


def cpu_words(cpu: dict[str, Any]) -> str:
    """The ratio of processor times, as far as it is known."""
    if cpu["ratio"] is None:
        return "not measured yet"
    interval = cpu["interval"]
    bounds = "" if interval is None else f", typically {interval[0]:.3g} to {interval[1]:.3g}"
    return f"{cpu['ratio']:.3g} times stable's{bounds}"
