"""The change of scores by segment, and what is kept of their counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from penstock.server.rollout.evidence import score_change, score_changes
from penstock.server.rollout.phase import Phase
from penstock.server.rollout.rollout import Rollout, Step, begin
from penstock.server.rollout.rollout_spec import Kind, RolloutSpec
from penstock.server.rollout.score_evidence import ScoreBins, score_evidence
from penstock.server.rollout.segment_bins import side_by_side, with_scores
from penstock.server.rollout.segment_counts import MOST_SEGMENTS
from penstock.server.rollout.segment_scores import changes, segment_score_change

ALIKE = ((100, 100),) * 5
APART = ((0, 200), (100, 100), (100, 100), (100, 100), (200, 0))


def rollout(*steps, **terms):
    """With the scores of segments in steps at 10 and 50 %."""
    spec = RolloutSpec(segments=("country",), **terms)
    one = begin("r", Kind.CANARY, "m", (1, 2), "sha256:2", spec, "ann", now=0.0)
    made = tuple(
        Step(percent, segment_scores=scores)
        for percent, scores in zip((10.0, 50.0), steps, strict=False)
    )
    return replace(one, phase=Phase.PROGRESSING, steps=made)


def test_each_segment_is_compared_with_itself_over_all_steps():
    found = changes(rollout({"a": ALIKE}, {"a": APART, "b": ALIKE}))
    assert [one.name for one in found] == ["a", "b"]
    assert found[0].value == score_evidence([ScoreBins(0.1, ALIKE), ScoreBins(0.5, APART)])
    assert found[0].scores == 2000
    assert found[1].value == score_evidence([ScoreBins(0.5, ALIKE)]) < 1


def test_all_segments_are_joined_by_a_mean_with_a_fixed_number_of_them():
    one = rollout({}, {"a": APART, "b": ALIKE})
    a, b = (score_evidence([ScoreBins(0.5, bins)]) for bins in (APART, ALIKE))
    joined = (a + b + MOST_SEGMENTS - 2) / MOST_SEGMENTS
    assert segment_score_change(one) == pytest.approx(joined)
    assert score_change(one) == pytest.approx(0.5 + 0.5 * joined)
    assert segment_score_change(rollout()) == 1.0


def test_behind_a_sticky_header_and_without_segments_they_say_nothing():
    sticky = rollout({}, {"a": APART}, sticky="x-user")
    assert score_change(sticky) == 1.0
    assert score_changes(sticky) == []
    plain = replace(sticky, terms=replace(sticky.terms, sticky="", segments=()))
    assert score_change(plain) == pytest.approx(1.0)
    assert score_changes(plain) == []


def test_no_more_segments_count_than_have_a_weight():
    many = {f"a={n}": ALIKE for n in range(MOST_SEGMENTS + 5)}
    assert len(changes(rollout(many))) == MOST_SEGMENTS
    assert len(with_scores({}, many)) == MOST_SEGMENTS


def test_counts_that_vanish_are_kept():
    known = {"a": ((5, 1), (2, 2))}
    assert with_scores(known, {"a": ((5, 1), (3, 2)), "b": ((1, 0),)}) == {
        "a": ((5, 1), (3, 2)),
        "b": ((1, 0),),
    }
    assert with_scores(known, {"a": ((1, 0), (0, 0))}) == known
    assert with_scores(known, {}) == known


def test_arms_are_put_side_by_side():
    found = side_by_side({"a": (1, 2), "b": (3, 4)}, {"a": (5, 6), "c": (7, 8)})
    assert found == {"a": ((1, 5), (2, 6)), "b": ((3, 0), (4, 0)), "c": ((0, 7), (0, 8))}
    assert side_by_side({}, {}) == {}


def test_it_survives_the_disk():
    one = rollout({"a": APART})
    assert Rollout.from_json(one.to_json()) == one


def test_many_segments_that_score_alike_are_no_evidence_however_often_one_looks():
    """The highest figure of a rollout is above 1 / alpha with a probability of at most alpha."""
    random, crossed = np.random.default_rng(2), 0
    for _ in range(60):
        counts = np.zeros((30, 5, 2), int)
        highest = 0.0
        for _ in range(20):
            counts += random.multinomial(40, [0.1] * 10, 30).reshape(30, 5, 2)
            bins = {f"a={n}": tuple(map(tuple, one)) for n, one in enumerate(counts.tolist())}
            highest = max(highest, segment_score_change(rollout({}, bins)))
        crossed += highest >= 20
    assert crossed <= 3
