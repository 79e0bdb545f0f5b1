import json
import subprocess
import sys

from penstock.server.isolation.limits import Death
from penstock.server.processes.process_watch import resident_bytes, waited_seconds
from penstock.server.processes.time_limit import stuck
from penstock.server.shadow.limits import (
    GROWTH_BYTES,
    MAX_DEATHS,
    MAX_FAILURES,
    RUN_SECONDS,
    leaks,
    run_limit,
    verdict,
)
from penstock.server.shadow.record import (
    ENDED,
    RUNNING,
    Record,
    read_record,
    record_path,
    standing,
    write_record,
)

CRASH = Death("crash", "its runner was killed by SIGSEGV")


def test_waiting_for_a_processor_is_not_hanging():
    assert not stuck(elapsed=100.0, waited=95.0, limit=10.0)
    assert stuck(elapsed=100.0, waited=85.0, limit=10.0)


def test_a_slow_model_has_more_time():
    assert run_limit(0.001) == RUN_SECONDS
    assert run_limit(5.0) == 100.0


def test_some_growth_is_no_leak():
    assert not leaks(2 * 100 + GROWTH_BYTES, 100)
    assert leaks(2 * 100 + GROWTH_BYTES + 1, 100)


def test_a_death_is_forgiven_until_there_are_many_in_a_row_or_altogether():
    assert verdict(CRASH, MAX_FAILURES - 1, MAX_DEATHS - 1, 5.0) is None
    hard_failure = verdict(CRASH, MAX_FAILURES, MAX_FAILURES, 5.0)
    assert (hard_failure.reason, hard_failure.at) == ("crash", 5.0)
    assert hard_failure.detail == "its runner was killed by SIGSEGV; it ended 3 times in a row"
    hard_failure = verdict(CRASH, 1, MAX_DEATHS, 5.0)
    assert hard_failure.detail == "its runner was killed by SIGSEGV; it ended 10 times"


def test_the_kernel_tells_of_another_process():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert resident_bytes(process.pid) > 0
    assert waited_seconds(process.pid) >= 0.0
    process.communicate(b"\n")
    assert resident_bytes(process.pid) == 0
    assert waited_seconds(process.pid) == 0.0


def record(phase, **others):
    one = Record("a/b", "m", 1, 2, phase, **others)
    return one, json.dumps(one.to_json()).encode()


def test_a_record_survives_the_disk_whatever_its_rollout_is_called(tmp_path):
    one, content = record(RUNNING, hard_failure=verdict(CRASH, 3, 3, 5.0), failures=3)
    write_record(tmp_path, one, content)
    assert read_record(tmp_path, "a/b") == one
    assert record_path(tmp_path, "a/b").parent == tmp_path / "rollouts"


def test_control_learns_whether_it_runs_and_why_it_never_will(tmp_path):
    assert standing(tmp_path, "a/b") == (False, ())
    write_record(tmp_path, *record(RUNNING))
    assert standing(tmp_path, "a/b") == (True, ())
    write_record(tmp_path, *record(ENDED, hard_failure=verdict(CRASH, 3, 3, 5.0)))
    running, [hard_failure] = standing(tmp_path, "a/b")
    assert not running
    assert hard_failure.startswith("crash: its runner was killed by SIGSEGV")


def test_a_damaged_record_is_none(tmp_path):
    write_record(tmp_path, record(RUNNING)[0], b'{"rollout": 1}')
    assert read_record(tmp_path, "a/b") is None
    write_record(tmp_path, record(RUNNING)[0], b"\xff")
    assert read_record(tmp_path, "a/b") is None
