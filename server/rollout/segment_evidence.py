"""Evidence that the candidate does harm in one segment of the traffic.

A segment is compared with itself: which arm its bad requests fell in, by the law of
`penstock.server.rollout.arm_evidence`. There are three bets on each segment: on its failures, its
slow answers, and its labels that call an answer wrong. Each bet is an e-process while the candidate
is no worse in that segment. All bets are joined by a mean with fixed weights, which is an e-process
while the candidate is worse in *no* segment, however the segments depend on each other (Vovk and
Wang, arXiv 1912.06116). So the number of segments is accounted for: with S segments, the bet on
each one has the weight 1 / S. S is the most that are counted, `MOST_SEGMENTS`: each process names
the values that it sees, so the declared fields alone do not tell how many segments there will be,
and a mean over a number that grows would be no e-process.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from .arm_evidence import ArmEvents, arm_evidence
from .score_evidence import ScoreBins, share_evidence
from .segment_counts import MOST_SEGMENTS, SegmentCounts, totals

if TYPE_CHECKING:
    from .rollout import Rollout

#: Ratios of risks that are tolerated: of failures, of slow answers, of wrong answers.
TOLERATED_FAILURES: Final = 1.5
TOLERATED_SLOW: Final = 1.5
TOLERATED_WRONG: Final = 1.0
#: Parts of a segment's bet.
FAILED: Final = 0.4
SLOW: Final = 0.2
WRONG: Final = 0.4
#: E value from which on both arms of a segment count as labelled differently.
MISMATCH: Final = 5.0


class SegmentEvidence(NamedTuple):
    """The evidence against the candidate in one segment.

    Attributes:
        name: Name of the segment.
        failures: E value of its failures; 1 is no evidence.
        slow: E value of its slow answers.
        labels: E value of its wrong answers.
    """

    name: str
    failures: float
    slow: float
    labels: float

    @property
    def value(self) -> float:
        """All three joined."""
        return FAILED * self.failures + SLOW * self.slow + WRONG * self.labels


def by_segment(rollout: Rollout, *, labels: bool = True) -> list[SegmentEvidence]:
    """The evidence in each segment, in the order in which they were first seen.

    Args:
        rollout: The rollout.
        labels: Whether labels are evidence.
    """
    shares = [step.percent / 100.0 for step in rollout.steps]
    blank = SegmentCounts()
    found = []
    for name in totals(step.segments for step in rollout.steps):
        counts = [step.segments.get(name, blank) for step in rollout.steps]
        failures = _evidence(
            tuple(
                (share, one.canary_failed, one.stable_failed)
                for share, one in zip(shares, counts, strict=True)
            ),
            TOLERATED_FAILURES,
        )
        slow = _evidence(
            tuple(
                (share, one.canary_slow, one.stable_slow)
                for share, one in zip(shares, counts, strict=True)
            ),
            TOLERATED_SLOW,
        )
        wrong = _of_labels(shares, counts)
        wrong = wrong if labels else min(1.0, wrong)  # not higher: a bet that is lost stays lost
        found.append(SegmentEvidence(name, failures, slow, wrong))
    return found


def segment_evidence(rollout: Rollout, *, labels: bool = True) -> float:
    """E value against "the candidate is worse in no segment".

    Args:
        rollout: The rollout.
        labels: Whether labels are evidence.
    """
    found = by_segment(rollout, labels=labels)
    bets = math.fsum(one.value for one in found)
    return (bets + MOST_SEGMENTS - len(found)) / MOST_SEGMENTS


def ranked(rollout: Rollout, *, labels: bool = True) -> list[SegmentEvidence]:
    """The evidence in each segment, most of it first.

    The same bad requests may be all those of a country and of a plan: then the smaller segment, in
    requests of the candidate, comes first.
    """
    counts = totals(step.segments for step in rollout.steps)
    found = by_segment(rollout, labels=labels)
    return sorted(found, key=lambda one: (-one.value, counts[one.name].canary))


def suspect(rollout: Rollout, *, labels: bool = True) -> SegmentEvidence | None:
    """The segment with the most evidence, if it may be failing: a step waits for it.

    With as many looks as one likes, a candidate that is worse in no segment makes a step wait with
    a probability of at most alpha (1 + 1/2 + ... + 1/n) for n segments: the limit grows with them.
    """
    found = ranked(rollout, labels=labels)
    worst = next(iter(found), None)
    limit = len(found) / rollout.terms.alpha
    return worst if worst is not None and worst.value >= limit else None


def worst_segment(rollout: Rollout, *, labels: bool = True) -> SegmentEvidence | None:
    """The segment with the most evidence, to be named beside a decision; it decides nothing."""
    worst = next(iter(ranked(rollout, labels=labels)), None)
    return worst if worst is not None and worst.value >= 1.0 / rollout.terms.alpha else None


def describe_segment(rollout: Rollout, one: SegmentEvidence) -> str:
    """The counts of a segment as a sentence."""
    counts = totals(step.segments for step in rollout.steps)[one.name]
    bets = {"failed": FAILED * one.failures, "slow": SLOW * one.slow, "wrong": WRONG * one.labels}
    worst = max(bets, key=bets.__getitem__)
    if worst == "failed":
        return (
            f"in segment {one.name} the candidate failed at {counts.canary_failed} of "
            f"{counts.canary} requests, while stable failed at {counts.stable_failed} of "
            f"{counts.stable}"
        )
    if worst == "slow":
        return (
            f"in segment {one.name} {counts.canary_slow} of the candidate's {counts.canary} "
            f"answers were slow, while {counts.stable_slow} of {counts.stable} of stable were"
        )
    return (
        f"in segment {one.name} {counts.canary_wrong} of {counts.canary_labelled} labelled answers "
        f"of the candidate are wrong, and {counts.stable_wrong} of {counts.stable_labelled} of "
        "stable"
    )


def _of_labels(shares: list[float], counts: list[SegmentCounts]) -> float:
    """Of wrong answers; at most 1 while the arms of the segment are labelled differently."""
    wrong = _evidence(
        tuple(
            (share, one.canary_wrong, one.stable_wrong)
            for share, one in zip(shares, counts, strict=True)
        ),
        TOLERATED_WRONG,
    )
    if wrong <= 1.0:
        return wrong
    mismatch = share_evidence(
        ScoreBins(share, ((one.stable_labelled, one.canary_labelled),))
        for share, one in zip(shares, counts, strict=True)
    )
    return 1.0 if mismatch >= MISMATCH else wrong


@lru_cache(maxsize=4096)  # the counts of most segments are those of the last look
def _evidence(events: tuple[tuple[float, int, int], ...], tolerated: float) -> float:
    return arm_evidence((ArmEvents(*one) for one in events), tolerated)
