"""Counts what was told later of the predictions of a rollout, by step: their labels and scores."""

from __future__ import annotations

import asyncio
import math
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from penstock.server.rollout.counts import StepLabels
from penstock.server.rollout.rollout_spec import Kind
from penstock.server.rollout.segment_bins import side_by_side
from penstock.server.rollout.segment_counts import of_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from penstock.server.rollout.rollout import Rollout
    from penstock.server.rollout.segment_bins import SegmentScores
    from penstock.server.rollout.segment_counts import Segments

    #: By version and arm, labelled requests of a model, and the wrong ones.
    Labels = Mapping[tuple[str, str], tuple[int, int]]
    #: By version and arm, predictions of a model by bin of their score.
    Scores = Mapping[tuple[str, str], Mapping[int, int]]
    #: By version and arm, and by segment, the same as `Labels`.
    SegmentLabels = Mapping[tuple[str, str], Mapping[str, tuple[int, int]]]
    #: By version and arm, and by segment, predictions of a model in each bin of their score.
    SegmentBins = Mapping[tuple[str, str], Mapping[str, tuple[int, ...]]]

#: Labels come seldom, and counting them takes longer than reading counters.
_LABEL_SECONDS: Final = 5.0


class StepLabelCounter:
    """Reads the files of the monitor, at most every few seconds for each rollout.

    Args:
        labels: Counts labels of predictions of a model between two times; blocking.
        scores: The same for their scores, by bin.
        segment_labels: The same for labels, by segment.
        segment_scores: The same for scores, by segment.
    """

    def __init__(
        self,
        labels: Callable[[str, float, float], Labels],
        scores: Callable[[str, float, float], Scores],
        segment_labels: Callable[[str, float, float], SegmentLabels],
        segment_scores: Callable[[str, float, float], SegmentBins],
    ) -> None:
        self._labels = labels
        self._scores = scores
        self._segment_labels = segment_labels
        self._segment_scores = segment_scores
        self._labelled: dict[str, tuple[float, tuple[StepLabels, ...]]] = {}

    def forget(self, running: Collection[str]) -> None:
        """Keep nothing of rollouts but these, by their ids."""
        self._labelled = {name: one for name, one in self._labelled.items() if name in running}

    async def count(self, rollout: Rollout, now: float) -> tuple[StepLabels, ...]:
        """What labels say by step; never less than before, though one may be corrected."""
        at, known = self._labelled.get(rollout.id, (0.0, ()))
        if rollout.kind is Kind.SHADOW or abs(now - at) < _LABEL_SECONDS:
            return known
        before = {one.began_at: one for one in known}
        found = []
        for step, later in zip_longest(rollout.steps, rollout.steps[1:]):
            if not step.settled_at:
                continue
            span = step.settled_at, math.inf if later is None else later.began_at
            labels = await asyncio.to_thread(self._labels, rollout.model, *span)
            was = before.get(step.began_at, StepLabels(step.began_at))
            stable = _most(was.stable, labels.get((str(rollout.stable), "stable")))
            canary = _most(was.canary, labels.get((str(rollout.candidate), "canary")))
            scores = await asyncio.to_thread(self._scores, rollout.model, *span)
            bins = _side_by_side(scores, rollout)
            segments = await self._by_segment(rollout, *span, before=was.segments)
            by_segment = await self._scores_by_segment(rollout, *span)
            found.append(StepLabels(step.began_at, stable, canary, bins, segments, by_segment))
        self._labelled[rollout.id] = now, tuple(found)
        return tuple(found)

    async def _by_segment(self, rollout: Rollout, *span: float, before: Segments) -> Segments:
        if not rollout.terms.segments:
            return {}
        found = await asyncio.to_thread(self._segment_labels, rollout.model, *span)
        stable = found.get((str(rollout.stable), "stable"), {})
        return of_labels(stable, found.get((str(rollout.candidate), "canary"), {}), before)

    async def _scores_by_segment(self, rollout: Rollout, *span: float) -> SegmentScores:
        if not rollout.terms.segments:
            return {}
        found = await asyncio.to_thread(self._segment_scores, rollout.model, *span)
        stable = found.get((str(rollout.stable), "stable"), {})
        return side_by_side(stable, found.get((str(rollout.candidate), "canary"), {}))


def _side_by_side(scores: Scores, rollout: Rollout) -> tuple[tuple[int, int], ...]:
    """By bin, predictions of stable and of the candidate."""
    stable = scores.get((str(rollout.stable), "stable"), {})
    canary = scores.get((str(rollout.candidate), "canary"), {})
    bins = range(max([*stable, *canary], default=-1) + 1)
    return tuple((stable.get(place, 0), canary.get(place, 0)) for place in bins)


def _most(before: tuple[int, int], now: tuple[int, int] | None) -> tuple[int, int]:
    """The larger of each figure: what counted goes on counting."""
    labelled, wrong = now or (0, 0)
    return max(before[0], labelled), max(before[1], wrong)
