"""The figures of an A/B comparison, valid at any moment however often they are read.

Their assumption is checked. Arms are drawn by request, so the requests of both arms have to fit
the share (no sample-ratio mismatch). Behind a sticky header arms are drawn by unit, and so are the
arms of requests that repeat an id. Then no difference is stated, because nobody counts units. The
ratio is stated, as that of the probability that a unit has met such an event by now: it needs no
more than the first event of each unit.

The number of units would not be enough for a difference. Units that have met an event only become
more, so the difference of their shares is another at each look (with hazards a < b it is
exp(-a t) - exp(-b t), which first grows and then falls to 0), while the interval holds for one that
stays the same. A difference of rates by request needs the requests and the events of each unit: its
variance is that between units. That is memory for every unit in every worker, without a bound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .difference_interval import Cells, difference_interval
from .evidence import PARTS, labels_held
from .interval import Interval
from .rate_interval import rate_interval
from .score_evidence import ScoreBins, share_evidence

if TYPE_CHECKING:
    from .counts import ArmCounts
    from .evidence import Part
    from .rollout import Rollout

#: Kinds of bad events that are compared, labels aside.
KINDS: Final = ("errors", "timeouts", "invalid", "slow")
#: E value against "the arms fit the share" from which on no difference is stated: of a hundred
#: comparisons whose requests are drawn one by one, one reaches it at most.
_MISMATCH: Final = 100.0


@dataclass(frozen=True, slots=True)
class RateComparison:
    """A rate in both arms. The intervals are valid however often they are read.

    Attributes:
        stable: Rate of stable so far; 0 without requests.
        canary: Rate of the candidate so far.
        difference: Interval of canary less stable, if the difference is the same over time;
            ``None`` if it cannot be stated.
        ratio: Interval of canary / stable, from the arm that each event fell in: outages and drift
            that both arms share do no harm. ``None`` if it cannot be stated.
        held: Why one of both is not stated; empty if both are.
    """

    stable: float
    canary: float
    difference: Interval | None
    ratio: Interval | None
    held: str = ""


def compare_rates(
    stable: tuple[int, int], canary: tuple[int, int], share: float, miss: float = 0.05
) -> RateComparison:
    """Compare the rates of an event in both arms.

    Each request is in the canary's arm by chance, with the probability `share`, whatever came
    before.

    Args:
        stable: Events and requests of the stable version.
        canary: Events and requests of the canary.
        share: Share of the canary in requests, 0 to 1.
        miss: Probability, at most, that an interval is ever wrong; each kind for itself.
    """
    cells = Cells(stable[0], stable[1] - stable[0], canary[0], canary[1] - canary[0])
    return RateComparison(
        stable=_rate(stable),
        canary=_rate(canary),
        difference=difference_interval(cells, share, miss),
        ratio=_ratio_interval(stable[0], canary[0], share, miss),
    )


def results(rollout: Rollout, miss: float = 0.05) -> dict[str, RateComparison]:
    """Compare every kind of bad event, wrong labels included, while every worker had the share.

    Args:
        rollout: An A/B comparison or the present step of a canary.
        miss: As in `compare_rates`.
    """
    if not rollout.steps:
        return {}
    step = rollout.steps[-1]
    stable, canary = step.exposure.stable, step.exposure.canary
    share = step.percent / 100.0
    held = _drawn_otherwise(rollout.terms.sticky, stable, canary, share)
    found = {}
    for kind in KINDS:
        counts = [(getattr(arm, kind), arm.requests) for arm in (stable, canary)]
        part = next(one for one in PARTS.values() if kind in one.kinds)
        first = _first_events(part, kind, stable, canary)
        if not held and first == (counts[0][0], counts[1][0]):
            found[kind] = compare_rates(counts[0], counts[1], share, miss)
            continue
        ratio = None if first is None else _ratio_interval(*first, share, miss)
        why = held or "units have had several such events, and nobody counts units"
        found[kind] = RateComparison(_rate(counts[0]), _rate(counts[1]), None, ratio, why)
    labels = (stable.wrong, stable.labelled), (canary.wrong, canary.labelled)
    why = labels_held(rollout)
    found["wrong"] = (
        RateComparison(_rate(labels[0]), _rate(labels[1]), None, None, why)
        if why
        else compare_rates(*labels, share, miss)
    )
    return found


def _drawn_otherwise(sticky: str, stable: ArmCounts, canary: ArmCounts, share: float) -> str:
    """The reason why the arms of requests are not drawn one by one; empty if they are."""
    if sticky:
        return (
            f"arms are chosen by the header {sticky}, and nobody counts who sends it; the ratio is "
            "of units that have met such an event"
        )
    mismatch = share_evidence((ScoreBins(share, ((stable.requests, canary.requests),)),))
    if mismatch < _MISMATCH:
        return ""
    return (
        f"{canary.requests} requests of the candidate and {stable.requests} of stable do not fit a "
        f"share of {100.0 * share:g} % (E = {mismatch:.3g}): some repeat their ids, or are lost"
    )


def _first_events(
    part: Part, kind: str, stable: ArmCounts, canary: ArmCounts
) -> tuple[int, int] | None:
    """Events of a kind in both arms that are the first of their unit; ``None`` if unknown."""
    found = []
    for arm in (stable, canary):
        repeated = part.requests(arm) - part.events(arm)
        if repeated and part.requests(arm) != getattr(arm, kind):
            return None  # a repeated event may be of another kind
        found.append(getattr(arm, kind) - repeated)
    return found[0], found[1]


def _ratio_interval(stable: int, canary: int, share: float, miss: float) -> Interval:
    """The interval of the ratio of risks, by the arms that the events of both fell in."""
    where = rate_interval(canary, canary + stable, miss)
    return Interval(_ratio(where.low, share), _ratio(where.high, share))


def _rate(counts: tuple[int, int]) -> float:
    return counts[0] / counts[1] if counts[1] else 0.0


def _ratio(probability: float, share: float) -> float:
    """The ratio of risks at which an event is the canary's with this probability."""
    if probability >= 1.0 or not 0.0 < share < 1.0:
        return math.inf if probability >= 1.0 else 0.0
    return probability / (1.0 - probability) * (1.0 - share) / share
