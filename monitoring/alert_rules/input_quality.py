"""Rules of input quality: declared rules of `model.toml`, and fault rates of the baseline. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from penstock.monitoring.probability import binomial_upper_tail

from .episode_tracker import Finding

if TYPE_CHECKING:
    from penstock.monitoring.drift.learnt import LearntField

    from .counter_window import CounterWindow

WINDOW_SECONDS: Final = 900.0
STEP_SECONDS: Final = 30.0
#: A larger share of faults in a field shows a change in the systems that send the requests.
WORST_SHARE: Final = 0.01
LEAST_FAULTS: Final = 20
#: Probability of a false alarm at one check. There are three million checks a year, so the
#: probability that a field gives a false alarm in a year is at most 0.3 %.
LEAST_CHANCE: Final = 1e-9
#: The odds of a fault must also have grown by this factor.
LEAST_ODDS: Final = 2.0

_WORDS: Final = ("outside the usual range", "of categories never seen before", "missing")
_KINDS: Final = ("range", "domain", "missing")


def bad_values(model: str, field: str, window: CounterWindow, now: float) -> Finding:
    """The finding about the values of a declared field.

    Args:
        model: Name of the model.
        field: Name of the field.
        window: Rows that ran first, faults of the field second, refused or not.
        now: Unix seconds.
    """
    rows, faults = window.growth(now, WINDOW_SECONDS)
    share = faults / max(rows, faults) if faults else 0.0
    bad = faults >= LEAST_FAULTS and share > WORST_SHARE
    summary = (
        f"{field} of {model}: {faults:.0f} values in {rows:.0f} rows of the last 15 minutes were "
        "not what model.toml declares"
    )
    evidence = {"rows": rows, "faults": faults, "share": share, "window_seconds": WINDOW_SECONDS}
    return Finding(model, field, bad, "warning", summary, evidence)


def unusual_values(field: LearntField, window: CounterWindow, now: float) -> Finding:
    """The finding about the values of an input with a known baseline.

    Bad is a share of faults that is more than a point above the usual one, has twice its odds, and
    can hardly be chance: if the baseline had `usual` faults in `n` rows, then of as many faults
    in both together each is in the last `m` rows with probability m / (m + n).

    Args:
        field: The input.
        window: Rows first, then faults of each kind.
        now: Unix seconds.
    """
    rows, *faults = window.growth(now, WINDOW_SECONDS)
    known = field.reference.rows
    worst, highest = 0, -1.0
    bad = False
    for place, (number, usual) in enumerate(zip(faults, field.usual, strict=True)):
        excess = (number - usual / (known + 1) * rows) / max(1.0, rows)
        found = number >= LEAST_FAULTS and _beyond(number, rows, usual, known)
        if (found, excess) > (bad, highest):
            worst, highest, bad = place, excess, found
    number, usual = faults[worst], field.usual[worst] / (known + 1)
    share = number / rows if rows else 0.0
    summary = (
        f"{field.name} of {field.model} version {field.version}: {number:.0f} of {rows:.0f} rows "
        f"of the last 15 minutes are {_WORDS[worst]} ({share:.1%}; the baseline: {usual:.2%})"
    )
    evidence = {
        "rows": rows,
        "faults": number,
        "kind": _KINDS[worst],
        "share": share,
        "usual_share": usual,
        "limits": list(field.reference.limits),
        "window_seconds": WINDOW_SECONDS,
    }
    return Finding(field.model, field.name, bad, "warning", summary, evidence)


def _beyond(number: float, rows: float, usual: float, known: int) -> bool:
    """Whether there are clearly more faults than usual for as many rows."""
    share, before = number / rows, min(0.999, usual / (known + 1))
    odds = share / max(1e-9, 1 - share)
    if share <= before + WORST_SHARE or odds <= LEAST_ODDS * before / (1 - before):
        return False
    trials = int(number) + math.ceil(usual) - 1
    return binomial_upper_tail(int(number), trials, rows / (rows + known)) < LEAST_CHANCE
