from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import started

from penstock.server.rollout.counts import ArmCounts, Counts
from penstock.server.rollout.observation import (
    MAX_INTERVAL_SECONDS,
    SAVE_SECONDS,
    observe,
    save_due,
)
from penstock.server.rollout.phase import Phase
from penstock.server.rollout.rollout import Base, Rollout, Step
from penstock.server.rollout.snapshot import Snapshot


def counts(n, bad=0):
    return Counts(ArmCounts(requests=10 * n), ArmCounts(requests=n, errors=bad))


def running(base=None, *, settled=True, **changes):
    step = Step(5.0, Counts(), Counts() if settled else None)
    rollout = replace(
        started(), phase=Phase.PROGRESSING, steps=(step,), base=Base("a", base or Counts())
    )
    return replace(rollout, **changes)


def look(n, bad=0, epoch="a", percent=5.0, **changes):
    return Snapshot(counts(n, bad), epoch, ready=True, percent=percent, **changes)


def counted(rollout):
    return rollout.steps[-1].counts


def test_only_what_is_new_counts():
    rollout = observe(running(counts(100)), look(110, 1), 1.0)
    assert counted(rollout) == counts(10, 1)
    assert counted(observe(rollout, look(115, 2), 2.0)) == counts(15, 2)
    assert counted(observe(rollout, look(110, 1), 2.0)) == counts(10, 1)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5), st.booleans()), max_size=20))
def test_whatever_copy_comes_back_from_disk_the_counts_come_out_the_same(history):
    """Control dies again and again, and begins with what was saved some looks ago."""
    rollout = saved = running()
    n = bad = 0
    for at, (more, failed, died) in enumerate(history):
        n, bad = n + more, bad + failed
        rollout = observe(rollout, look(n, bad), float(at))
        if died:
            rollout = observe(Rollout.from_json(saved.to_json()), look(n, bad), float(at))
        else:
            saved = rollout if more % 2 else saved
        assert counted(rollout) == counts(n, bad)


def test_counters_that_began_again_are_added_to_what_was_kept():
    rollout = observe(running(), look(100, 2), 1.0)
    rollout = observe(rollout, look(7, 1, epoch="b"), 2.0)
    assert counted(rollout) == counts(107, 3)
    assert counted(observe(rollout, look(8, 1, epoch="b"), 3.0)) == counts(108, 3)


def test_counters_that_go_back_for_no_reason_add_nothing():
    rollout = observe(running(), look(100, 2), 1.0)
    rollout = observe(rollout, look(90, 3), 2.0)
    assert counted(rollout) == counts(100, 2)
    assert counted(observe(rollout, look(95, 3), 3.0)) == counts(105, 2)


def test_what_was_counted_before_the_first_look_is_not_the_rollout_s():
    rollout = observe(replace(running(), base=None), look(50), 1.0)
    assert counted(rollout) == Counts()
    assert counted(observe(rollout, look(51), 2.0)) == counts(1)


def test_the_transition_is_evidence_but_passes_nothing():
    """Until every worker has the share, what is counted is evidence, and no exposure."""
    rollout = observe(running(settled=False), look(10, 1, percent=None), 1.0)
    assert counted(rollout) == counts(10, 1)
    assert rollout.steps[-1].exposure == Counts()
    rollout = observe(rollout, look(15, 1), 2.0)
    assert rollout.steps[-1].settled == counts(15, 1)
    rollout = observe(rollout, look(40, 2), 3.0)
    assert counted(rollout) == counts(40, 2)
    assert rollout.steps[-1].exposure == counts(25, 1)
    assert rollout.steps[-1].observed_seconds == 1.0


@pytest.mark.parametrize("change", [{"percent": None}, {"percent": 1.0}, {"unreadable": "no"}])
def test_time_in_which_the_step_is_not_seen_in_full_does_not_count(change):
    rollout = observe(running(), look(10), 1.0)
    rollout = observe(rollout, look(20, **change), 2.0)
    assert rollout.steps[-1].observed_seconds == 1.0
    assert observe(rollout, look(30), 3.0).steps[-1].observed_seconds == 2.0


def test_time_while_the_candidate_is_not_ready_does_not_count():
    seen = observe(running(), replace(look(10), ready=False), 1.0)
    assert seen.steps[-1].observed_seconds == 0.0


def test_time_in_which_nobody_looked_does_not_count():
    """Control was down for a day, or the clock jumped."""
    rollout = observe(running(), look(10), 86_400.0)
    assert rollout.steps[-1].observed_seconds == MAX_INTERVAL_SECONDS


def test_after_the_clock_was_set_back_the_time_of_the_step_begins_anew():
    rollout = observe(running(seen_at=100.0), look(10), 105.0)
    assert rollout.steps[-1].observed_seconds == 5.0
    rollout = observe(rollout, look(20), 50.0)
    assert rollout.steps[-1].observed_seconds == 0.0
    assert counted(rollout) == counts(20)
    assert observe(rollout, look(30), 52.0).steps[-1].observed_seconds == 2.0


def test_a_clock_that_is_adjusted_a_little_costs_nothing():
    rollout = observe(running(seen_at=100.0), look(10), 105.0)
    rollout = observe(rollout, look(20), 104.5)
    assert rollout.steps[-1].observed_seconds == 5.0


def test_unreadable_counts_change_nothing_but_the_time_of_the_look():
    rollout = running()
    assert observe(rollout, look(10, unreadable="locked"), 3.0) == replace(rollout, seen_at=3.0)


def test_nothing_is_counted_while_the_candidate_is_prepared():
    rollout = observe(started(), look(10), 1.0)
    assert rollout.steps == ()
    assert rollout.base == Base("a", counts(10))


def test_new_counts_are_saved_now_and_then():
    before = running()
    after = observe(before, look(10), 1.0)
    assert not save_due(before, after, SAVE_SECONDS - 1)
    assert save_due(before, after, SAVE_SECONDS)
    assert not save_due(after, observe(after, look(10), 2.0), SAVE_SECONDS)
