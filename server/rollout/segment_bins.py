"""Scores of single segments in both arms of a rollout, by bin. Values."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from .segment_counts import MOST_SEGMENTS

if TYPE_CHECKING:
    from collections.abc import Mapping

#: By name of the segment, predictions of stable and of the candidate in each bin.
SegmentScores: TypeAlias = dict[str, tuple[tuple[int, int], ...]]


def with_scores(known: SegmentScores, more: SegmentScores) -> SegmentScores:
    """The counts with newer ones in the place of theirs.

    Fewer than before say that the file was pruned or began anew: then the known ones stay, because
    evidence over counts that vanish is none.
    """
    found = dict(known)
    for name, counts in more.items():
        before = found.get(name, ())
        if (before or len(found) < MOST_SEGMENTS) and scored(counts) >= scored(before):
            found[name] = counts
    return found


def side_by_side(
    stable: Mapping[str, tuple[int, ...]], candidate: Mapping[str, tuple[int, ...]]
) -> SegmentScores:
    """Counts of both arms by segment, each a count for each bin."""
    width = max(map(len, (*stable.values(), *candidate.values())), default=0)
    blank = (0,) * width
    return {
        name: tuple(zip(stable.get(name, blank), candidate.get(name, blank), strict=True))
        for name in {**stable, **candidate}
    }


def scored(bins: tuple[tuple[int, int], ...]) -> int:
    """Predictions of both versions."""
    return sum(stable + candidate for stable, candidate in bins)
