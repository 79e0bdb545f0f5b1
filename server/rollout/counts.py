"""Exact counts of both arms, over all processes."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from itertools import zip_longest
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .segment_bins import SegmentScores
    from .segment_counts import Segments


@dataclass(frozen=True, slots=True)
class ArmCounts:
    """Counts of one arm of a split, in requests. Each kind is counted by itself.

    A unit is what the arm is chosen by: the value of the sticky header, else the request id. The
    kinds count every request. The counts of what is *repeated* are those of them that are no
    evidence of their own: `penstock.server.rollout.unit_memory` says which.

    Attributes:
        requests: Finished requests of this arm.
        errors: Answered with a 5xx, deadlines aside.
        timeouts: Not answered within their deadline.
        invalid: Answers with NaN or otherwise invalid output.
        slow: Answered later than stable's requests of the time, by the rollout's factor.
        fallbacks: Failures that stable was asked to answer for the caller; each is in `errors`,
            `timeouts` or `invalid` of this arm, too, and in nothing of the other.
        labelled: Predictions that have a label by now.
        wrong: Labelled predictions that are wrong.
        repeated_failures: Errors and timeouts of units that had one before.
        repeated_invalid: Invalid answers of units that had one before.
        repeated_slow: Slow answers of units that had one before.
        rescued: Of the fallbacks, timeouts aside, those that stable answered.
        both_failed: Of the fallbacks, timeouts aside, those that stable failed at, too.
        warm_up_slow: Slow answers in the warm-up allowance; they are in nothing else.
    """

    requests: int = 0
    errors: int = 0
    timeouts: int = 0
    invalid: int = 0
    slow: int = 0
    fallbacks: int = 0
    labelled: int = 0
    wrong: int = 0
    repeated_failures: int = 0
    repeated_invalid: int = 0
    repeated_slow: int = 0
    rescued: int = 0
    both_failed: int = 0
    warm_up_slow: int = 0

    @property
    def tried(self) -> tuple[int, int, int]:
        """Requests that the arm answered, that stable rescued, that both failed at."""
        answered = self.requests - self.errors - self.timeouts - self.invalid
        return max(0, answered), self.rescued, self.both_failed


@dataclass(frozen=True, slots=True)
class PairCounts:
    """Counts of requests that stable answered and the shadow computed, too.

    Attributes:
        pairs: Requests that both computed, or that the shadow failed at.
        disagreements: Of those, the ones whose outputs differ by more than the tolerance, or that
            the shadow failed at.
        failures: Of those, requests that the shadow failed at.
        dropped: Requests that were to be copied and were not, for want of time or memory.
    """

    pairs: int = 0
    disagreements: int = 0
    failures: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of both arms, of pairs, and of scores by bin.

    Attributes:
        stable: Counts of the arm that stable serves.
        canary: Counts of the arm that the candidate serves.
        pairs: Counts of a shadow.
        scores: By bin of the stable version's score: predictions of stable, and of the candidate,
            whose score fell there. Empty if nobody bins scores.
    """

    stable: ArmCounts = field(default_factory=ArmCounts)
    canary: ArmCounts = field(default_factory=ArmCounts)
    pairs: PairCounts = field(default_factory=PairCounts)
    scores: tuple[tuple[int, int], ...] = ()

    def plus(self, other: Counts) -> Counts:
        """The sum."""
        return self._with(other, 1)

    def minus(self, other: Counts) -> Counts:
        """The difference to `other`; negative where a counter began again from zero."""
        return self._with(other, -1)

    def smallest(self) -> int:
        """The smallest of all figures."""
        return min(min(numbers) for numbers in _numbers(self))

    def _with(self, other: Counts, sign: int) -> Counts:
        return Counts(
            ArmCounts(*_sum(_ARM(self.stable), _ARM(other.stable), sign)),
            ArmCounts(*_sum(_ARM(self.canary), _ARM(other.canary), sign)),
            PairCounts(*_sum(_PAIRS(self.pairs), _PAIRS(other.pairs), sign)),
            tuple(
                [
                    (a[0] + sign * b[0], a[1] + sign * b[1])
                    for a, b in zip_longest(self.scores, other.scores, fillvalue=(0, 0))
                ]
            ),
        )


@dataclass(frozen=True, slots=True)
class StepLabels:
    """Labels and scores known by now, of predictions that were made at one share.

    Attributes:
        began_at: Unix seconds of the decision on the step; identifies the step.
        stable: Labelled requests of stable, and those of them answered wrongly.
        canary: The same of the candidate.
        scores: By bin of stable's score, predictions of stable and of the candidate.
        segments: Labels of single segments.
        segment_scores: As `scores`, of single segments.
    """

    began_at: float
    stable: tuple[int, int] = (0, 0)
    canary: tuple[int, int] = (0, 0)
    scores: tuple[tuple[int, int], ...] = ()
    segments: Segments = field(default_factory=dict)
    segment_scores: SegmentScores = field(default_factory=dict)

    def put(self, counts: Counts) -> Counts:
        """The counts with these labels in the place of theirs."""
        arms = [
            replace(arm, labelled=labelled, wrong=wrong)
            for arm, (labelled, wrong) in (
                (counts.stable, self.stable),
                (counts.canary, self.canary),
            )
        ]
        return replace(counts, stable=arms[0], canary=arms[1], scores=self.scores)


def _numbers(counts: Counts) -> Iterable[tuple[int, ...]]:
    return (_ARM(counts.stable), _ARM(counts.canary), _PAIRS(counts.pairs), *counts.scores)


def _sum(a: tuple[int, ...], b: tuple[int, ...], sign: int) -> list[int]:
    return [x + sign * y for x, y in zip(a, b, strict=True)]


def _getter(record: type[Any]) -> Callable[[Any], tuple[int, ...]]:
    return attrgetter(*(one.name for one in fields(record)))


_ARM: Final = _getter(ArmCounts)
_PAIRS: Final = _getter(PairCounts)
