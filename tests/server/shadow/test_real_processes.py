"""Real processes end to end: what a shadow counts, and that nobody feels it, whatever it does."""

import os
import signal
from pathlib import Path

import pytest

from penstock.monitoring.metrics import layout
from penstock.server.shadow.limits import MAX_FAILURES

pytestmark = pytest.mark.slow


def test_a_shadow_that_agrees_is_counted_exactly_and_goes_on_after_a_restart(stage, until):
    server = stage({})
    assert server.predict(200, rows=3) == [200] * 200
    until(lambda: server.settled() and server.counted(layout.PAIRS) == 200)
    assert server.counted(layout.SHADOW_COPIED) == 200
    assert server.counted(layout.DISAGREEMENTS) == server.counted(layout.SHADOW_ERRORS) == 0
    assert server.counted(layout.SHADOW_CPU_NANOSECONDS) > 0
    server.stop("shadow")
    assert server.phase() == "ended"
    tally = server.record().tally
    assert (tally.requests.pairs, tally.rows.pairs) == (200, 600)
    assert tally.cpu.rerun > tally.cpu.rerun_differing == 0
    server.start("shadow")
    until(lambda: server.phase() == "running")
    server.predict(10)
    until(lambda: server.settled() and server.counted(layout.SHADOW_COPIED) == 210)
    server.stop("shadow")
    pairs = server.record().tally.requests.pairs
    assert pairs == server.counted(layout.PAIRS) == 210 - server.counted(layout.SHADOW_DROPPED)


def test_every_way_to_differ_is_counted_exactly(stage, until):
    server = stage({"mode": "moody"})
    answers = server.predict(40, rows=3) + server.predict(30, rows=3, mood=-1)
    answers += server.predict(20, rows=3, mood=-2) + server.predict(10, rows=3, mood=-3)
    assert answers == [200] * 100
    until(lambda: server.counted(layout.PAIRS) == 100)
    assert server.counted(layout.DISAGREEMENTS) == 60
    assert server.counted(layout.SHADOW_INVALID) == 20
    assert server.counted(layout.SHADOW_ERRORS) == 10
    until(lambda: server.record().tally.requests.pairs == 100)
    assert server.phase() == "running"
    tally = server.record().tally
    assert tally.rows.disagreements == 20 + 30 + 30
    assert tally.outputs["y"].max_absolute == 2 * 1001 + 7
    [error] = tally.errors
    assert (error["text"], error["batches"]) == ("ModelExecutionError: it will not", 10)
    # Those that are worst are kept, with the ids that their callers have.
    assert len({one["request_id"] for one in tally.worst}) == 20
    assert {one["row"] for one in tally.worst} == {1}
    assert tally.worst[0]["outputs"] == {"y": {"primary": [2002.0, -4.0], "shadow": ["nan"] * 2}}


@pytest.mark.parametrize(("mode", "reason"), [("exit", "crash"), ("sleep", "hang")])
def test_a_shadow_that_dies_or_hangs_at_full_load_is_not_felt(stage, until, load, mode, reason):
    server = stage({"mode": mode})
    worker = server.processes["worker-0"]
    with load(server) as running:
        until(lambda: server.phase() == "tripped")
        asked = len(running.statuses)
        until(lambda: len(running.statuses) > asked + 100)
    assert set(running.statuses) == {200}
    assert worker.poll() is None
    assert server.processes["shadow"].poll() is None
    until(server.settled)
    assert server.counted(layout.SHADOW_COPIED) == len(running.statuses)
    # Of each envelope that was being run, the batch amid which it ended.
    assert server.counted(layout.SHADOW_ERRORS) >= MAX_FAILURES
    record = server.record()
    assert record.hard_failure.reason == reason
    assert record.failures == len(record.tally.deaths) == MAX_FAILURES
    assert server.runner() == 0


def test_a_shadow_that_leaks_is_ended(stage, until):
    server = stage({"mode": "leak"})
    assert server.predict(50) == [200] * 50
    until(lambda: server.record().tally.deaths != [])
    assert "memory: it grew to" in server.record().tally.deaths[0]["reason"]


def test_a_trip_survives_a_restart_and_is_over_with_another_rollout(stage, until):
    server = stage({"mode": "unloadable"})
    assert server.record().hard_failure.reason == "load"
    assert "its file is broken" in server.record().hard_failure.detail
    server.stop("shadow")
    assert server.phase() == "tripped"
    server.start("shadow")
    assert server.predict(20) == [200] * 20
    until(lambda: server.counted(layout.SHADOW_DROPPED) == 20)
    assert server.record().hard_failure.reason == "load"
    assert server.runner() == 0
    (server.versions[2] / "model.twice").write_text("{}")
    server.aim(name="twice-2")
    until(lambda: server.phase("twice-2") == "running")


def test_a_killed_shadow_process_takes_its_runner_along(stage, until, gone):
    server = stage({})
    runner = server.runner()
    assert runner
    os.kill(server.processes["shadow"].pid, signal.SIGKILL)
    server.processes.pop("shadow").wait()
    until(lambda: gone(runner))
    assert server.predict(10) == [200] * 10
    until(lambda: server.counted(layout.SHADOW_DROPPED) == 10)


def test_only_idle_time_is_used_and_at_the_end_of_the_rollout_nothing_remains(stage, until):
    server = stage({}, only_idle=True)
    runner = server.runner()
    tasks = [int(one.name) for one in Path(f"/proc/{runner}/task").iterdir()]
    assert {os.sched_getscheduler(one) for one in tasks} == {os.SCHED_IDLE}
    assert Path(f"/proc/{runner}/oom_score_adj").read_text() == "1000\n"
    server.aim(percent=None)
    until(lambda: server.phase() == "ended")
    until(lambda: server.runner() == 0)
    pid = server.processes["shadow"].pid
    assert os.getpriority(os.PRIO_PROCESS, pid) == 19
    resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    assert resident < 31 << 20
    assert "numpy" not in Path(f"/proc/{pid}/maps").read_text()
    # A worker that has not heard of the end yet goes on for a while.
    assert server.predict(10) == [200] * 10
    until(lambda: server.counted(layout.SHADOW_DROPPED) == 10)
    assert server.counted(layout.PAIRS) == 0
