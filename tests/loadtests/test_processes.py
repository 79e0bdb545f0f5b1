from __future__ import annotations

import os
import sys

import pytest

from penstock.loadtests.processes import ServerFailed, ServerProcess, pinned

#: A server that starts a child in a session of its own, says so, and burns a little CPU.
WITH_CHILD = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; print('child', flush=True); time.sleep(60)"],
                 start_new_session=True)
end = time.process_time() + 0.2
while time.process_time() < end: pass
print("ready", flush=True)
time.sleep(60)
"""


def process(code, tmp_path, **more):
    return ServerProcess([sys.executable, "-c", code], tmp_path / "log", **more)


def wait_for(server, *words):
    server.wait_ready(lambda: all(word in server.log_tail() for word in words), 30)


def test_children_in_other_sessions_are_counted_and_stopped(tmp_path):
    with process(WITH_CHILD, tmp_path) as server:
        wait_for(server, "ready", "child")
        assert len(server.pids()) == 2
        assert server.cpu_seconds() >= 0.1  # the kernel counts in ticks
        assert server.memory_bytes() > 1_000_000
    assert server.pids() == []


def test_a_server_runs_only_on_its_cores(tmp_path):
    core = min(os.sched_getaffinity(0))
    code = "import os, time; print(sorted(os.sched_getaffinity(0)), flush=True); time.sleep(60)"
    before = os.sched_getaffinity(0)
    with process(code, tmp_path, cores={core}) as server:
        wait_for(server, f"[{core}]")
    assert os.sched_getaffinity(0) == before


def test_pinning_ends_with_its_block():
    before = os.sched_getaffinity(0)
    with pinned({min(before)}):
        assert os.sched_getaffinity(0) == {min(before)}
    assert os.sched_getaffinity(0) == before


def test_a_server_that_ends_is_reported_with_its_last_words(tmp_path):
    with (
        process("raise SystemExit('no such model')", tmp_path) as server,
        pytest.raises(ServerFailed, match=r"(?s)code 1 .*no such model"),
    ):
        server.wait_ready(lambda: False, 30)


def test_a_server_that_never_gets_ready_is_given_up(tmp_path):
    with (
        process("import time; time.sleep(60)", tmp_path) as server,
        pytest.raises(ServerFailed, match="not ready after 0 s"),
    ):
        server.wait_ready(lambda: False, 0.0)


def test_a_server_that_still_works_is_not_idle(tmp_path):
    code = """
import time
print("ready", flush=True)
end = time.process_time() + 0.6
while time.process_time() < end: pass
print("settled", flush=True)
time.sleep(60)
"""
    with process(code, tmp_path) as server:
        wait_for(server, "ready")
        server.wait_idle(30)
        assert "settled" in server.log_tail()


def test_a_server_that_is_never_idle_is_waited_for_so_long(tmp_path):
    with process("print('ready', flush=True)\nwhile True: pass", tmp_path) as server:
        wait_for(server, "ready")
        server.wait_idle(0.6)
        assert server.cpu_seconds() > 0
