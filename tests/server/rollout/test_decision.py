from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import started

from penstock.server.errors import ApiError
from penstock.server.rollout import commands
from penstock.server.rollout.counts import ArmCounts, Counts, PairCounts
from penstock.server.rollout.decision import decide
from penstock.server.rollout.evidence import PARTS, WEIGHTS, combined, e_values, evidence_against
from penstock.server.rollout.observation import SAVE_SECONDS
from penstock.server.rollout.phase import FINAL, TRANSITIONS, Event, Phase
from penstock.server.rollout.rollout import Approval, Rollout, split_of
from penstock.server.rollout.rollout_spec import Kind
from penstock.server.rollout.snapshot import Snapshot

NONE = Snapshot(epoch="a", ready=True)


class Walk:
    """A rollout that is looked at each second, with counters that only grow."""

    def __init__(self, kind=Kind.CANARY, **terms):
        self.rollout = started(kind, **terms)
        self.now = 0.0
        self.counts = Counts()
        self.epoch = "a"
        self.last = None

    def look(self, seconds=1.0, **snapshot):
        self.now += seconds
        percent = self.rollout.percent
        facts = {"ready": True, "percent": percent, "counts": self.counts, "epoch": self.epoch}
        self.last = decide(self.rollout, Snapshot(**{**facts, **snapshot}), self.now)
        self.rollout = self.last.rollout
        # Computed once, before a move: the record of the move and the history rely on it.
        assert self.last.evidence == evidence_against(self.rollout)
        return self.last

    def serve(self, stable=1900, canary=100, **bad):
        """Requests; bad ones of the candidate by kind, or of stable as ``stable_kind``."""
        arms = {"": ArmCounts(canary), "stable_": ArmCounts(stable)}
        for prefix, arm in arms.items():
            mine = {
                kind: bad[prefix + kind]
                for kind in ("errors", "timeouts", "invalid", "slow", "wrong", "labelled")
                if prefix + kind in bad
            }
            arms[prefix] = replace(arm, **mine)
        self.counts = self.counts.plus(Counts(arms["stable_"], arms[""]))
        return self

    def pair(self, pairs, disagreements=0):
        more = Counts(pairs=PairCounts(pairs=pairs, disagreements=disagreements))
        self.counts = self.counts.plus(more)
        return self

    def step(self):
        """Everything that a step needs: settled, time, requests."""
        self.look()
        self.serve(canary=1000)
        for _ in range(9):
            assert self.look().event is None
        return self.look()

    def until(self, phase):
        if self.rollout.phase is Phase.PREPARING:
            self.look()
        while self.rollout.phase is not phase:
            self.step()
        return self


def test_a_healthy_candidate_goes_step_by_step_and_is_promoted():
    walk = Walk()
    assert walk.look().event is Event.READY
    assert walk.rollout.percent == 5.0
    ready = walk.step()
    assert (ready.event, walk.rollout.percent) == (Event.ADVANCE, 50.0)
    assert ready.message == "step passed; goes on to 50 %"
    assert walk.step().event is Event.SUCCEED
    assert (walk.rollout.phase, walk.rollout.percent) == (Phase.PROMOTED, 0.0)
    assert walk.look().cause == "final"


def test_a_promoted_candidate_is_watched_by_a_small_holdback():
    walk = Walk(watch_seconds=60.0, holdback_percent=2.0).until(Phase.WATCHING)
    assert walk.rollout.percent == 98.0
    assert split_of(walk.rollout).watching
    assert split_of(walk.rollout).stable == 1
    assert walk.look().cause == "watching"
    while walk.look().event is None:
        assert walk.last.cause == "watching"
    assert (walk.last.event, walk.rollout.phase) == (Event.SUCCEED, Phase.PROMOTED)


def test_a_promoted_candidate_that_fails_is_taken_back():
    walk = Walk(watch_seconds=3600.0).until(Phase.WATCHING)
    for _ in range(50):
        walk.serve(stable=50, canary=950, errors=9)
        if walk.look().event is not None:
            break
    assert (walk.last.event, walk.last.cause) == (Event.ABORT, "evidence")


def test_nothing_is_counted_twice_where_a_step_ends():
    walk = Walk()
    walk.look()
    walk.step()
    walk.serve(canary=77)
    walk.look()
    assert [step.counts.canary.requests for step in walk.rollout.steps] == [1000, 77]


def test_a_candidate_that_is_not_ready_waits():
    walk = Walk()
    assert walk.look(ready=False).cause == "preparing"
    assert walk.rollout.phase is Phase.PREPARING


def test_no_rollout_begins_without_counts():
    assert Walk().look(unreadable="no such file").cause == "metrics"


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"percent": None}, "steering"),
        ({"percent": 1.0}, "steering"),
        ({"ready": False}, "steering"),
        ({"unreadable": "no such file"}, "metrics"),
    ],
)
def test_a_step_that_would_be_passed_is_not_when_something_cannot_be_seen(change, cause):
    walk = Walk()
    walk.look()
    walk.look()
    walk.serve(canary=1000)
    for _ in range(9):
        walk.look()
    decision = walk.look(**change)
    assert (decision.event, decision.cause) == (None, cause)
    # The second that was not seen has to be made up for.
    while walk.look().event is None:
        assert walk.last.cause == "hold_seconds"
    assert walk.last.event is Event.ADVANCE


def test_each_thing_that_is_missing_is_named():
    walk = Walk()
    walk.look()
    assert walk.look().cause == "no_traffic"
    walk.serve(canary=50)
    assert walk.look().message == "the candidate has had 50 of 100 requests in this step"
    walk.serve(canary=50)
    assert walk.look().message == "observed for 2 of 10 seconds in this step"
    for _ in range(8):
        walk.look()
    # Nothing was bad, but 100 requests do not show that less than 1 % are.
    assert walk.last.cause == "bad_rate"
    assert "up to 2.95% may be; passes at 1.00%" in walk.last.message
    walk.serve(canary=300)
    assert walk.look().event is Event.ADVANCE


def test_an_hour_without_traffic_moves_nothing():
    walk = Walk()
    walk.look()
    for _ in range(3600):
        decision = walk.look()
        assert (decision.event, decision.cause) == (None, "no_traffic")
    assert "no data, no move" in decision.message
    assert decision.evidence.total == pytest.approx(1.0)


def test_traffic_that_reaches_only_stable_moves_nothing_either():
    walk = Walk()
    walk.look()
    for _ in range(100):
        walk.serve(stable=1000, canary=0, stable_errors=20)
        assert walk.look().cause == "no_traffic"


def test_unreadable_counts_move_nothing_and_it_says_so():
    walk = Walk()
    walk.look()
    walk.look()
    walk.serve(canary=1000)
    for _ in range(3600):
        decision = walk.look(unreadable="no such file")
        assert (decision.event, decision.cause) == (None, "metrics")
    assert decision.message == "the counts cannot be read, so nothing moves: no such file"


def test_a_clock_set_back_moves_nothing_and_it_says_so():
    walk = Walk()
    walk.look()
    walk.look()
    walk.serve(canary=1000)
    for _ in range(9):
        walk.look()
    decision = walk.look(seconds=-3600)
    assert (decision.event, decision.cause) == (None, "clock")
    assert "set back by 3600 s; the step's time begins anew" in decision.message
    for _ in range(9):
        assert walk.look().cause == "hold_seconds"
    assert walk.look().event is Event.ADVANCE


def test_a_clock_that_leaps_ahead_passes_no_step():
    walk = Walk(hold_seconds=300.0)
    walk.look()
    walk.look()
    walk.serve(canary=1000)
    assert walk.look(seconds=86_000).cause == "hold_seconds"


@pytest.mark.parametrize("kind", ["errors", "timeouts"])
def test_two_failed_requests_stop_a_dead_candidate(kind):
    walk = Walk()
    walk.look()
    walk.serve(stable=19, canary=1, **{kind: 1})
    assert walk.look().event is None
    walk.serve(stable=19, canary=1, **{kind: 1})
    assert walk.look().event is Event.ABORT
    assert walk.last.cause == "evidence"
    assert walk.rollout.reason == (
        "E = 24.9, aborts at 20; most of it errors: 2 of the candidate's 2 requests, while stable "
        "had 0 of 38"
    )


@pytest.mark.parametrize("kind", ["invalid", "slow"])
def test_three_bad_answers_of_another_kind_do(kind):
    walk = Walk()
    walk.look()
    walk.serve(**{kind: 2})
    assert walk.look().event is None
    walk.serve(**{kind: 1})
    assert walk.look().event is Event.ABORT


def test_a_dead_candidate_is_stopped_before_its_share_is_confirmed():
    walk = Walk()
    walk.look()
    walk.serve(errors=3)
    assert walk.look(percent=None).event is Event.ABORT


def test_an_outage_of_both_is_no_evidence():
    walk = Walk()
    walk.look()
    walk.serve(stable=19_000, canary=1000, stable_errors=9500, errors=500)
    assert walk.look().evidence.total < 1.0


def to_phase(phase, kind=Kind.CANARY):
    """A rollout that has come to a phase in the ordinary way."""
    if phase is Phase.PREPARING:
        return Walk(kind)
    approval = {"require_approval": True} if phase is Phase.AWAITING_PROMOTION else {}
    watch = {"watch_seconds": 60.0} if phase is Phase.WATCHING else {}
    walk = Walk(kind, **approval, **watch)
    walk.look()
    if phase is Phase.WATCHING:
        return walk.until(phase)
    if phase is Phase.AWAITING_PROMOTION:
        return walk.until(phase)
    if phase is Phase.PAUSED:
        walk.rollout = commands.pause(walk.rollout, "bob", "lunch", walk.now)
    if phase is Phase.HELD:
        walk.look(seconds=walk.rollout.terms.deadline_seconds)
    assert walk.rollout.phase is phase
    return walk


WAITING = sorted(set(Phase) - FINAL)


@pytest.mark.parametrize("phase", WAITING)
@pytest.mark.parametrize(
    ("against", "cause", "reason"),
    [
        (
            {"hard_failures": ("worker 2 died of it", "warm-up failed")},
            "trip",
            "worker 2 died of it; ",
        ),
        ({"vetoes": ("HighErrorRate",)}, "veto", "vetoed from outside: HighErrorRate"),
    ],
)
@pytest.mark.parametrize("unreadable", ["", "no such file"])
def test_trips_and_vetoes_abort_in_every_phase(phase, against, cause, reason, unreadable):
    walk = to_phase(phase)
    decision = walk.look(**against, unreadable=unreadable)
    assert (decision.event, decision.cause) == (Event.ABORT, cause)
    assert walk.rollout.reason.startswith(reason)
    assert walk.rollout.by == ""


@pytest.mark.parametrize("phase", sorted(set(WAITING) - {Phase.PREPARING}))
def test_evidence_aborts_in_every_phase_in_which_there_can_be_any(phase):
    walk = to_phase(phase)
    walk.serve(errors=200)
    assert walk.look().event is Event.ABORT


def test_a_person_s_pause_is_not_ended_by_the_controller():
    walk = to_phase(Phase.PAUSED)
    walk.look()
    walk.serve(canary=10_000)
    for _ in range(100):
        decision = walk.look()
        assert (decision.event, decision.cause) == (None, "paused")
    assert decision.message == "paused until a person decides: lunch"
    walk.rollout = commands.resume(walk.rollout, "bob", "", walk.now)
    assert walk.look().event is Event.ADVANCE


def test_at_the_deadline_it_holds_and_tells():
    walk = Walk(deadline_seconds=60.0)
    walk.look()
    while walk.look().event is None:
        assert walk.now < 60.0
    assert walk.last.event is Event.HOLD
    assert walk.rollout.reason.startswith("inconclusive at the deadline: no request has reached")
    walk.rollout = commands.resume(walk.rollout, "bob", "wait longer", walk.now)
    for _ in range(59):
        assert walk.look().event is None
    assert walk.look().event is Event.HOLD


def test_scores_that_moved_hold_until_a_person_has_seen_them():
    walk = Walk()
    walk.look()
    walk.look()
    shifted = tuple((95 + i, 0 if i < 5 else 40) for i in range(10))
    walk.counts = replace(walk.counts, scores=shifted)
    assert walk.look().event is Event.HOLD
    assert walk.last.cause == "scores"
    walk.rollout = commands.resume(walk.rollout, "bob", "as intended", walk.now)
    walk.serve(canary=1000)
    while walk.look().event is None:
        assert walk.last.cause == "hold_seconds"
    assert walk.last.event is Event.ADVANCE


def test_scores_counted_while_the_share_was_taken_up_do_not_count():
    """The test has two sides, so a share that was smaller would look like a change."""
    walk = Walk()
    walk.look()
    walk.counts = replace(walk.counts, scores=((5000, 0),) * 10)
    assert walk.look(percent=None).event is None
    assert walk.look().event is None


def test_steps_that_do_not_end_in_100_wait_for_a_person():
    walk = Walk(steps=(5.0, 50.0)).until(Phase.AWAITING_PROMOTION)
    assert walk.look().cause == "promotion"
    assert walk.rollout.percent == 50.0
    walk.rollout = commands.promote(walk.rollout, "ann", "", walk.now)
    assert walk.rollout.phase is Phase.PROMOTED


def test_a_required_approval_is_waited_for():
    walk = Walk(require_approval=True).until(Phase.AWAITING_PROMOTION)
    for _ in range(100):
        walk.serve(canary=1000)
        assert walk.look().cause == "approval"
    walk.rollout = commands.approve(walk.rollout, "bob", "sha256:2", walk.now)
    assert walk.look(unreadable="no such file").cause == "metrics"
    assert walk.look().event is Event.SUCCEED


def test_an_approval_may_come_first():
    walk = Walk(require_approval=True)
    walk.rollout = commands.approve(walk.rollout, "bob", "sha256:2", 0.0)
    walk.until(Phase.PROMOTED)


@pytest.mark.parametrize("forged", [Approval("ann", "sha256:2", 1.0), Approval("bob", "x", 1.0)])
def test_an_approval_that_does_not_fit_counts_for_nothing(forged):
    walk = Walk(require_approval=True).until(Phase.AWAITING_PROMOTION)
    walk.rollout = replace(walk.rollout, approval=forged)
    assert walk.look().cause == "approval"


def test_a_shadow_that_agrees_is_finished_not_promoted():
    walk = Walk(Kind.SHADOW)
    walk.look()
    walk.look()
    walk.pair(150)
    for _ in range(10):
        assert walk.look().event is None
    assert walk.last.cause == "agreement"
    walk.pair(300)
    assert walk.look().event is Event.FINISH
    assert walk.rollout.phase is Phase.FINISHED


def test_a_shadow_that_differs_is_aborted():
    walk = Walk(Kind.SHADOW)
    walk.look()
    walk.pair(40, 8)
    assert walk.look().event is Event.ABORT
    assert walk.rollout.reason.endswith("8 of 40 requests disagree")


def test_a_comparison_goes_on_until_a_person_ends_it():
    walk = Walk(Kind.AB)
    walk.look()
    for _ in range(1000):
        walk.serve(stable=500, canary=500, labelled=500, wrong=400, stable_labelled=500)
        assert walk.look().cause == "comparison"
    walk.rollout = commands.finish(walk.rollout, "ann", "seen enough", walk.now)
    assert walk.rollout.phase is Phase.FINISHED


def test_a_comparison_has_guards():
    walk = Walk(Kind.AB)
    walk.look()
    walk.serve(stable=500, canary=500, errors=30)
    assert walk.look().event is Event.ABORT


def test_counts_are_saved_now_and_then_while_nothing_moves():
    walk = Walk(hold_seconds=1e6)
    walk.look()
    saves = 0
    for _ in range(100):
        walk.serve()
        saves += walk.look().save
    assert saves == 100 // SAVE_SECONDS


def test_kill_and_restart_at_any_look_neither_skips_nor_repeats_a_step():
    """Moves are on disk; everything else is what the counters show."""
    walk, disk, seen = Walk(), None, []
    disk = walk.rollout
    while not walk.rollout.final:
        walk.serve(stable=190, canary=100)
        decision = walk.look()
        if decision.event is not None:
            seen.append((decision.event, len(walk.rollout.steps)))
        if decision.event is not None or decision.save:
            disk = walk.rollout
        if int(walk.now) % 3 == 0:
            walk.rollout = Rollout.from_json(disk.to_json())
    assert seen == [(Event.READY, 1), (Event.ADVANCE, 2), (Event.SUCCEED, 2)]


def test_weights_are_a_mean():
    for kind, weights in WEIGHTS.items():
        assert sum(weights.values()) == pytest.approx(1.0)
        assert weights.keys() <= e_values(started(kind)).keys()
        assert combined(kind, e_values(started(kind))) == pytest.approx(1.0)
    known = {field.name for field in fields(ArmCounts)}
    counted = [(*part.kinds, part.repeated or "wrong") for part in PARTS.values()]
    assert {name for names in counted for name in names} < known


# Properties: whatever comes, in whatever order.

history = st.builds(
    Snapshot,
    counts=st.builds(
        Counts,
        st.builds(ArmCounts, requests=st.integers(0, 500), errors=st.integers(0, 3)),
        st.builds(ArmCounts, requests=st.integers(0, 500), errors=st.integers(0, 3)),
        st.builds(PairCounts, pairs=st.integers(0, 500), disagreements=st.integers(0, 9)),
    ),
    epoch=st.sampled_from("ab"),
    ready=st.booleans() | st.just(value=True),
    percent=st.sampled_from([None, 5.0, 50.0]),
    hard_failures=st.just(()) | st.just(("crash",)),
    vetoes=st.just(()),
    unreadable=st.sampled_from(["", "", "", "no"]),
)
orders = st.sampled_from(["pause", "resume", "approve", "promote", "abort", "finish"])
acts = st.lists(st.tuples(history, st.floats(-100, 5000), st.none() | orders), max_size=12)


def obey(rollout, order, now):
    try:
        if order == "approve":
            return commands.approve(rollout, "bob", rollout.digest, now)
        return getattr(commands, order)(rollout, "ann", "", now)
    except ApiError:
        return rollout


@settings(max_examples=150)
@given(st.sampled_from(Kind), st.booleans(), acts)
def test_whatever_comes_the_rules_hold(kind, required, acts):
    rollout = started(kind, require_approval=required, min_requests=1, hold_seconds=1.0)
    now, total = 1e6, Counts()
    for snapshot, elapsed, order in acts:
        now += elapsed
        total = total.plus(snapshot.counts)
        decision = decide(rollout, replace(snapshot, counts=total), now)
        after = decision.rollout
        if rollout.final:
            assert after == rollout  # an abort is never taken back
        if decision.event is None:
            assert after.phase is rollout.phase
            assert after.percent == rollout.percent
        else:
            assert TRANSITIONS[rollout.phase, decision.event] is after.phase
        if rollout.phase in {Phase.HELD, Phase.PAUSED}:
            assert after.phase in {rollout.phase, Phase.ABORTED}
        if snapshot.unreadable:
            assert decision.event in {None, Event.ABORT}
        if after.phase is Phase.PROMOTED:
            assert rollout.final or not required or after.approval is not None
            assert kind is Kind.CANARY or rollout.final
        rollout = after
        if order is not None:
            rollout = obey(rollout, order, now)
            assert rollout.phase is not Phase.PROMOTED or rollout.approved


@settings(max_examples=50)
@given(st.sampled_from(Kind), st.lists(st.floats(-1e4, 1e5), max_size=30), st.booleans())
def test_without_any_data_nothing_is_promoted_aborted_or_passed(kind, times, resumed):
    rollout, now = started(kind, hold_seconds=0.0, min_requests=1), 1e6
    for elapsed in times:
        now += elapsed
        decision = decide(rollout, replace(NONE, percent=rollout.percent), now)
        assert decision.event in {None, Event.READY, Event.HOLD}
        rollout = decision.rollout
        assert len(rollout.steps) <= 1
        if resumed and rollout.phase is Phase.HELD:
            rollout = commands.resume(rollout, "bob", "", now)
