"""The burn rate of the error budget: errors of the last hours against the objective. Pure.

An objective of 0.999 leaves a budget of one request in a thousand. A burn rate of 14.4 uses 2 % of
a month's budget in an hour. Two windows must agree: the long one shows that it matters, the short
one that it still goes on ("The Site Reliability Workbook", chapter 5). These two pairs are urgent
alerts; the slow pairs, over days, are Prometheus rules, because they must outlast a restart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from penstock.monitoring.metrics import layout

from .episode_tracker import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .counter_window import CounterWindow

#: With fewer errors in the long window there is no alert: one in ten requests at night is no trend.
LEAST_ERRORS: Final = 10


@dataclass(frozen=True, slots=True)
class Pair:
    """Two windows and the rate at which both must burn."""

    long_seconds: float
    short_seconds: float
    rate: float


PAIRS: Final = (Pair(3600, 300, 14.4), Pair(6 * 3600, 1800, 6.0))
SPAN_SECONDS: Final = 6 * 3600
STEP_SECONDS: Final = 60.0


def answered(slots: Sequence[int]) -> tuple[int, int]:
    """Requests that count, and those among them that the server failed.

    A client that went away (499) was not answered, and is in neither.
    """
    total = failed = 0
    for place, label in enumerate(layout.STATUS_LABELS):
        if label not in {"499", "other"}:
            count = slots[layout.STATUS + place]
            total += count
            failed += count if label.startswith("5") else 0
    return total, failed


def burn_rate(model: str, window: CounterWindow, objective: float, now: float) -> Finding:
    """The finding about an error budget.

    Args:
        model: Name of the model.
        window: Readings of its counters: requests first, errors second.
        objective: Share of requests that are to be answered, below 1.
        now: Unix seconds.
    """
    budget = 1.0 - objective
    worst = max(PAIRS, key=lambda pair: _rate(window, pair.long_seconds, budget, now) / pair.rate)
    bad = any(
        window.growth(now, pair.long_seconds)[1] >= LEAST_ERRORS
        and _rate(window, pair.long_seconds, budget, now) >= pair.rate
        and _rate(window, pair.short_seconds, budget, now) >= pair.rate
        for pair in PAIRS
    )
    requests, errors = window.growth(now, worst.long_seconds)
    rate = _rate(window, worst.long_seconds, budget, now)
    hours = worst.long_seconds / 3600
    summary = (
        f"{errors:.0f} of {requests:.0f} requests to {model} failed in the last {hours:.0f} h: "
        f"{rate:.1f} times what an objective of {objective:.4%} allows"
    )
    evidence = {
        "objective": objective,
        "window_seconds": worst.long_seconds,
        "requests": requests,
        "errors": errors,
        "burn_rate": rate,
        "burn_rate_short": _rate(window, worst.short_seconds, budget, now),
    }
    return Finding(model, "availability", bad, "critical", summary, evidence)


def _rate(window: CounterWindow, seconds: float, budget: float, now: float) -> float:
    requests, errors = window.growth(now, seconds)
    return errors / requests / budget if requests else 0.0
