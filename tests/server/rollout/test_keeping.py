"""What of a rollout is kept beside the desired state: counts, looks, alarms."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.server.rollout.checkpoint import KEEP, Checkpoints
from penstock.server.rollout.counts import ArmCounts, Counts
from penstock.server.rollout.evidence import evidence_against
from penstock.server.rollout.history import MAX_ENTRIES, HistoryEntry, entry_of, with_entry
from penstock.server.rollout.phase import Phase
from penstock.server.rollout.rollout import Step, begin
from penstock.server.rollout.rollout_spec import Kind, RolloutSpec
from penstock.server.rollout.vetoes import MAX_AGE_SECONDS, MAX_ALARMS, Alarm, Vetoes


def rollout(**changes):
    made = begin("m.v-7", Kind.CANARY, "m.v", (1, 2), "sha256:d", RolloutSpec(), "ann", 100.0)
    steps = (Step(1.0, Counts(canary=ArmCounts(requests=5))),)
    return replace(made, phase=Phase.PROGRESSING, steps=steps, **changes)


def counted(made, requests, seen_at):
    steps = (replace(made.steps[-1], counts=Counts(canary=ArmCounts(requests=requests))),)
    return replace(made, steps=steps, seen_at=seen_at)


def test_a_checkpoint_adds_counts_and_nothing_else(tmp_path):
    files = Checkpoints(tmp_path)
    recorded = rollout()
    assert files.newest(recorded) == recorded
    newer = counted(recorded, 9, 200.0)
    files.save(newer)
    assert files.newest(recorded) == newer
    for moved in (
        replace(recorded, phase=Phase.PAUSED),
        replace(recorded, steps=(*recorded.steps, Step(5.0))),
        replace(recorded, phase_since=150.0),
        counted(recorded, 6, 300.0),
    ):
        assert files.newest(moved) == moved


@pytest.mark.parametrize("content", ["", "{", "[]", '{"id": 3}', '{"id": "m.v-7", "odd": 1}'])
def test_a_damaged_checkpoint_is_none(tmp_path, content):
    files = Checkpoints(tmp_path)
    files.save(counted(rollout(), 9, 200.0))
    (tmp_path / "rollouts" / "m.v-7.json").write_text(content)
    assert files.newest(rollout()) == rollout()


def test_only_the_last_rollouts_are_kept_whole(tmp_path):
    files = Checkpoints(tmp_path)
    look = entry_of(rollout(), evidence_against(rollout()), 1.0)
    for number in range(KEEP + 5):
        files.save(rollout(id=f"m.v-{number}"))
        files.save_history(f"m.v-{number}", (look,))
        (tmp_path / "rollouts" / f"m.v-{number}.shadow.json").write_text("{}")
    files.prune()
    assert len(list((tmp_path / "rollouts").iterdir())) == 3 * KEEP
    assert files.history(f"m.v-{KEEP + 4}") == (look,)
    assert files.history("m.v-0") == ()


shares = st.sampled_from([1.0, 5.0, 50.0])
steps = st.lists(st.tuples(st.floats(0, 100), shares), min_size=1, max_size=1500)


@given(steps)
def test_looks_are_bounded_in_order_and_end_with_the_last(moves):
    history, at = (), 0.0
    for elapsed, percent in moves:
        at += elapsed
        last = HistoryEntry(at, percent, 1.0, (1.0,), (0, 0), (0, 0))
        history = with_entry(history, last)
    assert len(history) <= MAX_ENTRIES
    assert history[-1] == last
    assert [one.at for one in history] == sorted(one.at for one in history)


def test_a_look_from_before_the_last_one_counts_as_at_the_last():
    first, last = (
        HistoryEntry(at, 5.0, e, (e,), (0, 0), (0, 0)) for at, e in ((9.0, 1.0), (3.0, 2.0))
    )
    assert with_entry((first,), last) == (first, replace(last, at=9.0))


def test_looks_of_a_long_rollout_cover_all_of_it_evenly():
    history = ()
    for second in range(20_000):
        percent = 1.0 if second < 15_000 else 5.0
        history = with_entry(history, HistoryEntry(float(second), percent, 1.0, (), (0, 0), (0, 0)))
    times = [one.at for one in history]
    assert times[0] == 0.0
    assert max(b - a for a, b in pairwise(times)) < 500
    assert len(history) > MAX_ENTRIES / 4


def test_a_look_survives_the_file(tmp_path):
    look = HistoryEntry(1.25, 5.0, 3.5, (1.0, 6.0), (10, 1), (3, 2))
    Checkpoints(tmp_path).save_history("a/b-1", (look,))
    assert Checkpoints(tmp_path).history("a/b-1") == (look,)
    for content in ([1], [[1, 2]], 7, [[1, 1, 1, [1], [1], [1, 2]]]):
        (tmp_path / "rollouts" / "a%2Fb-1.looks.json").write_text(json.dumps({"looks": content}))
        assert Checkpoints(tmp_path).history("a/b-1") == ()


def test_an_alarm_stands_until_it_is_over_or_forgotten(tmp_path):
    vetoes = Vetoes(tmp_path / "rollouts")
    assert vetoes.hear([Alarm("1", "Slow", "m", "2", at=10.0), Alarm("2", "Down", "m", at=10.0)])
    assert vetoes.against("m", 2, 11.0) == ("Down", "Slow")
    assert vetoes.against("m", 3, 11.0) == ("Down",)
    assert vetoes.against("other", 2, 11.0) == ()
    assert Vetoes(tmp_path / "rollouts").against("m", 2, 11.0) == ("Down", "Slow")
    assert vetoes.hear([Alarm("2", "Down", "m", firing=False)])
    assert not vetoes.hear([Alarm("2", "Down", "m", firing=False)])
    assert vetoes.against("m", 2, 11.0) == ("Slow",)
    assert vetoes.against("m", 2, 11.0 + MAX_AGE_SECONDS) == ()


def test_alarms_are_bounded_and_the_oldest_go(tmp_path):
    vetoes = Vetoes(tmp_path)
    vetoes.hear([Alarm(str(n), f"a{n}", "m", at=1.0) for n in range(MAX_ALARMS)])
    vetoes.hear([Alarm("0", "a0", "m", at=2.0), Alarm("new", "new", "m", at=2.0)])
    names = vetoes.against("m", 1, 2.0)
    assert len(names) == MAX_ALARMS
    assert {"a0", "new"} <= set(names)
    assert "a1" not in names


def test_a_damaged_file_of_alarms_is_forgotten(tmp_path):
    Vetoes(tmp_path).hear([Alarm("1", "Slow", "m", at=1.0)])
    (tmp_path / "vetoes.json").write_text('{"alarms": [{"key": 1}]}')
    assert Vetoes(tmp_path).against("m", 1, 1.0) == ()
