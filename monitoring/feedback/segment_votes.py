"""Finds segments that are answered worse than the rest of the traffic, or than by another version.

A unit has one vote, its first label, so that the votes are independent. A vote is bad if the answer
is wrong; of numbers, if the loss is above the 0.9 quantile of both sides together. Two shares of
bad votes are compared by Fisher's exact test, one-sided. Holm's procedure over all tests of one
version and arm bounds the probability that any segment is named by chance alone: `FAMILY_RATE`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from penstock.monitoring.fisher import exact_tail
from penstock.monitoring.multiple_tests import holm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .outputs import Floats

FAMILY_RATE: Final = 0.05
#: Fewer votes on a side say nothing.
FEWEST_VOTES: Final = 20
_QUANTILE: Final = 0.9
REST: Final = "the rest of the traffic"
#: The value of predictions of before the field was declared: no segment, and not the rest of one.
UNKNOWN: Final = ""


@dataclass(frozen=True, slots=True)
class SegmentVotes:
    """Votes of one version and arm.

    Attributes:
        losses: 0 or 1 of a class, the absolute error of a number.
        segments: By field, the value of each vote, or `UNKNOWN`.
        numbers: Whether the losses are of numbers.
    """

    losses: Floats
    segments: Mapping[str, NDArray[np.object_]]
    numbers: bool = False


@dataclass(frozen=True, slots=True)
class SegmentFinding:
    """One comparison of one segment.

    Attributes:
        field: Name of the field.
        segment: Its value.
        versus: Other side of the comparison: `REST`, or a version.
        bad: Bad votes of the segment, and all its votes.
        others: The same of what it is compared with.
        p: By Holm's procedure: below `FAMILY_RATE` the segment is worse. ``None`` if there are
            too few votes to say.
    """

    field: str
    segment: str
    versus: str
    bad: tuple[int, int]
    others: tuple[int, int]
    p: float | None

    @property
    def worse(self) -> bool:
        """True if the segment is answered worse."""
        return self.p is not None and self.p < FAMILY_RATE


def compare_segments(
    votes: SegmentVotes, reference: SegmentVotes | None = None, versus: str = ""
) -> list[SegmentFinding]:
    """Compare every segment with the rest, and with the same segment of another version.

    Args:
        votes: Of the version.
        reference: Of the other version; ``None`` without one.
        versus: Name of the other version.
    """
    found: list[tuple[SegmentFinding, float | None]] = []
    for field, values in votes.segments.items():
        known = values != UNKNOWN
        for segment in sorted(set(values[known].tolist())):
            here = values == segment
            mine = votes.losses[here]
            sides = [(REST, votes.losses[~here & known])]
            if reference is not None and field in reference.segments:
                theirs = reference.losses[reference.segments[field] == segment]
                sides.append((versus, theirs))
            for what, losses in sides:
                bad, others = _bad_votes(mine, losses, numbers=votes.numbers)
                finding = SegmentFinding(field, segment, what, bad, others, None)
                found.append((finding, _p_value(bad, others)))
    adjusted = iter(holm([p for _, p in found if p is not None]))
    return [
        SegmentFinding(
            one.field,
            one.segment,
            one.versus,
            one.bad,
            one.others,
            None if p is None else next(adjusted),
        )
        for one, p in found
    ]


def _bad_votes(
    mine: Floats, others: Floats, *, numbers: bool
) -> tuple[tuple[int, int], tuple[int, int]]:
    limit = 0.0
    if numbers and len(mine) + len(others):
        limit = float(np.quantile(np.concatenate([mine, others]), _QUANTILE))
    return (
        (int((mine > limit).sum()), len(mine)),
        (int((others > limit).sum()), len(others)),
    )


def _p_value(bad: tuple[int, int], others: tuple[int, int]) -> float | None:
    if min(bad[1], others[1]) < FEWEST_VOTES:
        return None
    return exact_tail(bad[0], bad[0] + others[0], bad[1], bad[1] + others[1])
