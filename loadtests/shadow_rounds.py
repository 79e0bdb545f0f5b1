"""Rounds of windows without and with a shadow, and the figures made from them."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

from .medians import ratio_figures
from .outcome import OK, BeyondCapacity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .outcome import Outcome

#: Of each window: more, and the offered load was not there.
_UNSENT_LIMIT: Final = 0.01


@dataclass(frozen=True, slots=True)
class Round:
    """Two windows beside each other.

    Attributes:
        without: No shadow.
        shadowed: With one.
        copied: Requests that were chosen in the second.
        compared: Of those, the ones that the shadow computed.
        cpu_ratio: Of the worker's processor time for each request, with to without.
        refused: Rounds before it that the machine spoilt.
    """

    without: Outcome
    shadowed: Outcome
    copied: int
    compared: int
    cpu_ratio: float = 1.0
    refused: int = 0


def refuse_unsent(rounds: Sequence[Round]) -> None:
    """Refuse rounds whose load was not offered.

    Raises:
        BeyondCapacity: Of the server, where latency is that of the queue.
    """
    windows = [(kind, getattr(one, kind)) for one in rounds for kind in ("without", "shadowed")]
    unsent, kind = max((window.unsent / window.offered, kind) for kind, window in windows)
    if unsent > _UNSENT_LIMIT:
        raise BeyondCapacity(
            f"{unsent:.0%} of the requests of a window ({kind}) found every connection busy, at "
            f"most {_UNSENT_LIMIT:.0%} is allowed; use a lower load or a quieter machine"
        )


def figures_of(rounds: Sequence[Round]) -> dict[str, float]:
    """Figures, each with its unit in its name; ratios are of windows beside each other.

    "From" and "to" bound their median with 95 % confidence, as far as so few rounds allow.

    Raises:
        BeyondCapacity: Of the server, where latency is that of the queue.
    """
    refuse_unsent(rounds)
    windows = [window for one in rounds for window in (one.without, one.shadowed)]
    figures: dict[str, float] = {}
    for name, q in (("p50", 0.5), ("p99", 0.99)):
        pairs = [(one.without.quantile(q), one.shadowed.quantile(q)) for one in rounds]
        ratios = [b / a for a, b in pairs]
        figures |= {
            f"{name}_without_milliseconds": median(a for a, _ in pairs) * 1e3,
            f"{name}_with_milliseconds": median(b for _, b in pairs) * 1e3,
            **ratio_figures(f"{name}_ratio", ratios),
        }
    ratios = [one.cpu_ratio for one in rounds]
    figures |= {
        "worker_cpu_ratio_median": median(ratios),
        "worker_cpu_ratio_least": min(ratios),
        "worker_cpu_ratio_most": max(ratios),
    }
    failed = sum(window.offered - window.unsent - window.statuses.get(OK, 0) for window in windows)
    copied = sum(one.copied for one in rounds)
    return figures | {
        "rounds": float(len(rounds)),
        "rounds_measured_again": float(sum(one.refused for one in rounds)),
        "offered_per_second": windows[0].offered / windows[0].seconds,
        "failed_requests": float(failed),
        "unsent": float(sum(window.unsent for window in windows)),
        "copied_requests": float(copied),
        "compared_share_of_copied": sum(one.compared for one in rounds) / max(1, copied),
    }
