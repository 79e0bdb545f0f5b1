"""Counts of single segments in both arms of a rollout. Values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

#: Counted segments of one rollout; later ones are in no figure.
MOST_SEGMENTS: Final = 153


class SegmentCounts(NamedTuple):
    """Counts of one segment, in requests. A failure of a unit that failed before does not count.

    The same holds for slow answers.

    Attributes:
        stable: Requests of stable.
        stable_failed: Of these, errors, timeouts and invalid answers.
        canary: Requests of the candidate.
        canary_failed: Of these, errors, timeouts and invalid answers.
        stable_labelled: Requests of stable that have a label by now.
        stable_wrong: Of these, requests that were answered wrongly.
        canary_labelled: Requests of the candidate that have a label by now.
        canary_wrong: Of these, requests that were answered wrongly.
        stable_slow: Requests of stable that were answered slowly.
        canary_slow: The same of the candidate, without those of its warm-up.
    """

    stable: int = 0
    stable_failed: int = 0
    canary: int = 0
    canary_failed: int = 0
    stable_labelled: int = 0
    stable_wrong: int = 0
    canary_labelled: int = 0
    canary_wrong: int = 0
    stable_slow: int = 0
    canary_slow: int = 0

    def plus(self, other: SegmentCounts) -> SegmentCounts:
        """The sum."""
        return SegmentCounts(*map(sum, zip(self, other, strict=True)))


#: By name of the segment, ``country=CH``.
Segments: TypeAlias = dict[str, SegmentCounts]


def added(known: Segments, more: Mapping[str, SegmentCounts]) -> Segments:
    """The sums; of segments beyond `MOST_SEGMENTS` nothing is kept."""
    found = dict(known)
    for name, counts in more.items():
        if name in found or len(found) < MOST_SEGMENTS:
            found[name] = found.get(name, SegmentCounts()).plus(counts)
    return found


def grown(before: Mapping[str, SegmentCounts], now: Mapping[str, SegmentCounts]) -> Segments:
    """The increase of cumulative counts.

    Where the counts of a segment went back, because a process has ended, the increase is 0.
    """
    found = {}
    for name, counts in now.items():
        known = before.get(name, SegmentCounts())
        new = SegmentCounts(*(a - b for a, b in zip(counts, known, strict=True)))
        if min(new) >= 0 and any(new):
            found[name] = new
    return found


def with_labels(known: Segments, labels: Mapping[str, SegmentCounts]) -> Segments:
    """The counts with these labels in the place of theirs."""
    found = dict(known)
    for name, one in labels.items():
        if name in found or len(found) < MOST_SEGMENTS:
            found[name] = _labelled(found.get(name, SegmentCounts()), _labels_of(one))
    return found


def of_labels(
    stable: Mapping[str, tuple[int, int]],
    canary: Mapping[str, tuple[int, int]],
    before: Mapping[str, SegmentCounts],
) -> Segments:
    """Labelled and wrong requests of both arms by segment; never less than before.

    Args:
        stable: Counts of stable, by name of the segment.
        canary: Counts of the candidate.
        before: The counts known earlier of the same predictions.
    """
    found = {}
    for name in {**before, **stable, **canary}:
        known = _labels_of(before.get(name, SegmentCounts()))
        now = (*stable.get(name, (0, 0)), *canary.get(name, (0, 0)))
        found[name] = _labelled(SegmentCounts(), tuple(map(max, known, now)))
    return found


def totals(steps: Iterable[Mapping[str, SegmentCounts]]) -> Segments:
    """The sums over steps, in the order in which the segments were first seen."""
    found: Segments = {}
    for step in steps:
        found = added(found, step)
    return found


def _labels_of(counts: SegmentCounts) -> tuple[int, ...]:
    return (
        counts.stable_labelled,
        counts.stable_wrong,
        counts.canary_labelled,
        counts.canary_wrong,
    )


def _labelled(counts: SegmentCounts, labels: Sequence[int]) -> SegmentCounts:
    """The counts with these labels, in the order of `_labels_of`."""
    names = ("stable_labelled", "stable_wrong", "canary_labelled", "canary_wrong")
    return counts._replace(**dict(zip(names, labels, strict=True)))
