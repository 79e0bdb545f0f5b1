"""Evidence that both versions distribute their scores differently in one segment. Pure.

A segment is compared with itself by `score_evidence`, over fifths of stable's scores. Each figure
is an E value while both versions distribute alike in that segment, whatever part of each arm is
sampled. All are joined by a mean with the fixed weights 1 / `MOST_SEGMENTS`, for the reasons of
`segment_evidence`: so the number of segments is accounted for, however they depend on each other.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from .score_evidence import ScoreBins, score_evidence
from .segment_bins import scored
from .segment_counts import MOST_SEGMENTS

if TYPE_CHECKING:
    from .rollout import Rollout


class SegmentChange(NamedTuple):
    """The change of the scores in one segment.

    Attributes:
        name: Name of the segment.
        value: E value against "both versions distribute their scores alike in it".
        scores: Predictions of both versions that were compared.
    """

    name: str
    value: float
    scores: int


def changes(rollout: Rollout) -> list[SegmentChange]:
    """The change in each segment, the most evidence first, and the smaller of equal segments."""
    bins: dict[str, list[tuple[float, tuple[tuple[int, int], ...]]]] = {}
    for step in rollout.steps:
        for name, counts in step.segment_scores.items():
            if name in bins or len(bins) < MOST_SEGMENTS:
                bins.setdefault(name, []).append((step.percent / 100.0, counts))
    found = [SegmentChange(name, _evidence(tuple(one)), _scores(one)) for name, one in bins.items()]
    return sorted(found, key=lambda one: (-one.value, one.scores))


def segment_score_change(rollout: Rollout) -> float:
    """E value against "both versions distribute their scores alike in each segment"."""
    found = changes(rollout)
    return (math.fsum(one.value for one in found) + MOST_SEGMENTS - len(found)) / MOST_SEGMENTS


def _scores(steps: list[tuple[float, tuple[tuple[int, int], ...]]]) -> int:
    return sum(scored(bins) for _, bins in steps)


@lru_cache(maxsize=4096)  # the counts of most segments are those of the last look
def _evidence(steps: tuple[tuple[float, tuple[tuple[int, int], ...]], ...]) -> float:
    return score_evidence(ScoreBins(*one) for one in steps)
