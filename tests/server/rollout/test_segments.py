"""Counts of segments: the table of a process, what is new of it, and what it is evidence of."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from penstock.monitoring.metrics.metrics import CounterFile
from penstock.monitoring.metrics.process_figures import parse
from penstock.monitoring.segments.frequent_names import AT_ONCE
from penstock.server.rollout.arm_evidence import ArmEvents, arm_evidence
from penstock.server.rollout.counts import ArmCounts, Counts
from penstock.server.rollout.decision import decide
from penstock.server.rollout.evidence import e_values, labels_count, labels_held
from penstock.server.rollout.observation import observe
from penstock.server.rollout.rollout import Base, Rollout, Step, begin, split_of
from penstock.server.rollout.rollout_spec import Kind, RolloutSpec
from penstock.server.rollout.segment_counts import (
    MOST_SEGMENTS,
    SegmentCounts,
    added,
    grown,
    of_labels,
    with_labels,
)
from penstock.server.rollout.segment_evidence import (
    SegmentEvidence,
    by_segment,
    ranked,
    segment_evidence,
    suspect,
    worst_segment,
)
from penstock.server.rollout.segment_table import BLOCKS, SegmentTable, segments_of
from penstock.server.rollout.snapshot import Snapshot

FIELDS = ("country", "plan")


def blocks_of(counters):
    figures = parse(counters.data(), "w", live=True)
    assert figures.units == {}
    return figures.segments["m", "2"]


@pytest.fixture
def counters():
    return CounterFile.anonymous()


@pytest.fixture
def table(counters):
    return SegmentTable(counters.model("m", "2").segments(BLOCKS), "m-1", FIELDS)


def rollout(*steps, segments=FIELDS, kind=Kind.CANARY):
    terms = RolloutSpec(steps=(50.0,) if kind is Kind.AB else (5.0, 50.0, 100.0), segments=segments)
    started = begin("m-1", kind, "m", (1, 2), "sha256:2", terms, "ann", now=0.0)
    return replace(started, steps=steps)


def test_a_reader_sees_what_was_counted_by_arm_and_segment(counters, table):
    table.count(0, "CH", canary=False, failed=False)
    table.count(0, "CH", canary=True, failed=True, slow=True)
    table.count(0, "(missing)", canary=True, failed=False)
    table.count(1, "ein sehr langer Tarifname, 32 B.", canary=False, failed=True)
    table.count(1, "日本", canary=False, failed=False, slow=True)
    found = segments_of("m-1", FIELDS, blocks_of(counters))
    assert {name: one for name, one in found.items() if any(one)} == {
        "country=CH": SegmentCounts(1, 0, 1, 1, canary_slow=1),
        "country=(missing)": SegmentCounts(canary=1),
        "plan=ein sehr langer Tarifname, 32 B.": SegmentCounts(1, 1),
        "plan=日本": SegmentCounts(stable=1, stable_slow=1),
    }
    assert segments_of("m-2", FIELDS, blocks_of(counters)) == {}
    twice = segments_of("m-1", FIELDS, [*blocks_of(counters), *blocks_of(counters)])
    assert twice["country=CH"] == SegmentCounts(2, 0, 2, 2, canary_slow=2)


def test_another_rollout_of_the_version_begins_at_zero_in_the_same_blocks(counters, table):
    table.count(0, "CH", canary=True, failed=True)
    SegmentTable(counters.model("m", "2").segments(BLOCKS), "m-2", ("plan",))
    assert len(blocks_of(counters)) == BLOCKS
    assert segments_of("m-1", FIELDS, blocks_of(counters)) == {}
    assert segments_of("m-2", ("plan",), blocks_of(counters)) == {"plan=(other)": SegmentCounts()}


def test_any_number_of_values_fits_and_each_request_counts_once(counters, table):
    for number in range(5000):
        for field in (0, 1):
            table.count(field, f"v{number}", canary=number % 2 == 0, failed=False)
    found = segments_of("m-1", FIELDS, blocks_of(counters))
    assert len(found) <= 2 * (AT_ONCE + 2)
    assert sum(one.stable + one.canary for one in found.values()) == 10_000


def test_what_is_new_is_added_and_a_process_that_ends_takes_nothing_away():
    before = {"a": SegmentCounts(5, 1, 2, 1), "b": SegmentCounts(3)}
    now = {"a": SegmentCounts(9, 1, 3, 2), "b": SegmentCounts(1), "c": SegmentCounts(0, 0, 1)}
    new = grown(before, now)
    assert new == {"a": SegmentCounts(4, 0, 1, 1), "c": SegmentCounts(0, 0, 1)}
    assert added(before, new)["a"] == now["a"]
    many = {f"s{n}": SegmentCounts(1) for n in range(2 * MOST_SEGMENTS)}
    assert len(added({}, many)) == MOST_SEGMENTS


def test_labels_replace_labels_and_never_become_fewer():
    first = of_labels({"a": (10, 2)}, {"a": (5, 1), "b": (1, 1)}, {})
    later = of_labels({"a": (8, 3)}, {}, first)
    assert later["a"] == SegmentCounts(0, 0, 0, 0, 10, 3, 5, 1)
    counted = SegmentCounts(7, 1, stable_slow=2, canary_slow=4)
    assert with_labels({"a": counted}, later)["a"] == (7, 1, 0, 0, 10, 3, 5, 1, 2, 4)


def test_counts_are_of_the_step_they_came_in_and_survive_the_disk():
    started = replace(
        rollout(Step(5.0)),
        phase="progressing",
        base=Base("run", _counts(), {"country=CH": SegmentCounts(7)}),
    )
    look = Snapshot(epoch="run", segments={"country=CH": SegmentCounts(9, 1, 2, 2)})
    seen = observe(started, look, now=1.0)
    assert seen.steps[-1].segments == {"country=CH": SegmentCounts(2, 1, 2, 2)}
    again = Rollout.from_json(seen.to_json())
    assert again == seen
    assert observe(again, look, now=2.0).steps == seen.steps
    assert split_of(again).segments == FIELDS


def test_counts_that_an_earlier_release_wrote_are_read():
    seen = rollout(Step(5.0, segments={"country=CH": SegmentCounts(*range(10))}))
    old = json.loads(json.dumps(seen.to_json()))
    assert old["steps"][0]["segments"]["country=CH"] == list(range(10))
    del old["steps"][0]["segments"]["country=CH"][8:]
    again = Rollout.from_json(old)
    assert again.steps[0].segments == {"country=CH": SegmentCounts(*range(8))}


def _counts():
    return Snapshot().counts


def test_the_evidence_of_a_segment_is_that_of_its_own_events():
    steps = (
        Step(5.0, segments={"country=CH": SegmentCounts(100, 2, 9, 4, 50, 5, 4, 3, 6, 8)}),
        Step(50.0, segments={"country=CH": SegmentCounts(50, 1, 50, 30)}),
    )
    (one,) = by_segment(rollout(*steps))
    events = [ArmEvents(0.05, 4, 2), ArmEvents(0.5, 30, 1)]
    assert one.failures == pytest.approx(arm_evidence(events, 1.5))
    assert one.slow == pytest.approx(arm_evidence([ArmEvents(0.05, 8, 6)], 1.5))
    assert one.labels == pytest.approx(arm_evidence([ArmEvents(0.05, 3, 5)], 1.0))
    assert SegmentEvidence("without evidence", 1.0, 1.0, 1.0).value == pytest.approx(1.0)
    bets = MOST_SEGMENTS
    assert segment_evidence(rollout(*steps)) == pytest.approx((one.value + bets - 1) / bets)
    (without,) = by_segment(rollout(*steps), labels=False)
    assert without.labels == 1.0


def test_segments_that_come_later_do_not_change_the_weight_of_the_others():
    """Each of many processes names values of its own: there may be more than one can name."""
    calm = {f"country=c{n}": SegmentCounts(9, 0, 9, 0) for n in range(MOST_SEGMENTS - 1)}
    failing = {"country=CH": SegmentCounts(90, 0, 10, 9)}
    alone = segment_evidence(rollout(Step(5.0, segments=failing)))
    more = segment_evidence(rollout(Step(5.0, segments={**failing, **calm})))
    assert more == pytest.approx(alone)
    spared = {"country=CH": SegmentCounts(90, 9, 10, 0)}
    alone = segment_evidence(rollout(Step(5.0, segments=spared)))
    more = segment_evidence(rollout(Step(5.0, segments={**spared, **calm})))
    assert more == pytest.approx(alone)
    assert more < 1.0


def test_labels_of_a_segment_that_is_labelled_differently_in_both_arms_are_no_evidence():
    odd = SegmentCounts(1000, 0, 1000, 0, 50, 0, 300, 300)
    (one,) = by_segment(rollout(Step(50.0, segments={"country=CH": odd})))
    assert one.labels == 1.0


def test_a_bet_on_labels_that_is_lost_is_not_given_back_when_labels_are_held():
    """Else the evidence would rise by labels that fit no share, as a test at 20 % says of them."""
    odd = SegmentCounts(1000, 0, 1000, 0, 300, 200, 50, 1)
    held = rollout(
        Step(
            50.0,
            Counts(ArmCounts(labelled=300, wrong=200), ArmCounts(labelled=50, wrong=1)),
            segments={"country=CH": odd},
        )
    )
    assert labels_held(held)
    (one,) = by_segment(held, labels=labels_count(held))
    assert one.labels < 1e-3
    assert e_values(held)["labels"] < 1e-3
    later = SegmentCounts(1000, 0, 1000, 0, 50, 20, 0, 0)
    (one,) = by_segment(rollout(Step(50.0, segments={"country=CH": later})))
    assert one.labels < 0.01


def test_a_step_waits_for_a_segment_that_may_be_failing():
    calm = {f"country=c{n}": SegmentCounts(100, 1, 100, 1) for n in range(9)}
    failing = {**calm, "country=CH": SegmentCounts(90, 0, 10, 9)}
    assert suspect(rollout(Step(5.0, segments=calm))) is None
    found = suspect(rollout(Step(5.0, segments=failing)))
    assert found is not None
    assert found.name == "country=CH"


def test_an_abort_names_the_segment():
    step = Step(5.0, segments={"country=CH": SegmentCounts(400, 0, 20, 12)})
    progressing = replace(rollout(step), phase="progressing", base=Base("run", _counts()))
    decision = decide(progressing, Snapshot(epoch="run", ready=True, percent=5.0), now=1.0)
    assert decision.rollout.phase == "aborted"
    assert "in segment country=CH the candidate failed at 12 of 20 requests" in decision.message


def test_of_segments_with_the_same_bad_requests_the_smaller_one_is_named():
    plan, country = SegmentCounts(200, 0, 60, 8), SegmentCounts(40, 0, 12, 8)
    both = rollout(Step(5.0, segments={"plan=free": plan, "country=CH": country}))
    assert [one.name for one in ranked(both)] == ["country=CH", "plan=free"]
    assert worst_segment(both) == suspect(both) == ranked(both)[0]


def test_an_abort_for_slow_answers_names_the_segment():
    slow = SegmentCounts(400, 1, 20, 1, stable_slow=2, canary_slow=14)
    step = Step(5.0, segments={"country=CH": slow})
    progressing = replace(rollout(step), phase="progressing", base=Base("run", _counts()))
    decision = decide(progressing, Snapshot(epoch="run", ready=True, percent=5.0), now=1.0)
    assert decision.rollout.phase == "aborted"
    told = "in segment country=CH 14 of the candidate's 20 answers were slow, while 2 of 400 of"
    assert told in decision.message


def test_labels_are_no_evidence_of_a_comparison():
    wrong = SegmentCounts(400, 0, 400, 0, 400, 10, 400, 390)
    (one,) = by_segment(rollout(Step(50.0, segments={"country=CH": wrong})))
    assert one.labels > 1e6
    compared = rollout(Step(50.0, segments={"country=CH": wrong}), kind=Kind.AB)
    compared = replace(compared, phase="progressing", base=Base("run", _counts()))
    assert decide(compared, Snapshot(epoch="run", ready=True, percent=50.0), 1.0).event is None
