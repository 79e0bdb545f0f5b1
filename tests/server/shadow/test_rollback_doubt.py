"""What is not the old version's fault does not refuse a rollback."""

import asyncio
import time
from types import SimpleNamespace

import pytest

from penstock.server.control.api import rollback_check
from penstock.server.control.api.rollback_check import UNKNOWN, RollbackCheck
from penstock.server.isolation.child_process import ChildEnded
from penstock.server.isolation.limits import Death
from penstock.server.rollout.tolerance import Tolerance
from penstock.server.shadow import runner
from penstock.server.shadow.messages import READY, REPORT
from penstock.server.shadow.replay import Logged
from penstock.server.shadow.runner_process import RunnerEnded, RunnerProcess


def verified(tmp_path, look, monkeypatch):
    """What is found while the log is looked at like this."""
    plan = SimpleNamespace(default=2, versions={1: "there"})
    coordinator = SimpleNamespace(
        planner=SimpleNamespace(target=SimpleNamespace(models={"m": plan}))
    )
    config = SimpleNamespace(state_dir=tmp_path, log_max_bytes=1)
    monkeypatch.setattr(rollback_check, "any_since", look)
    check = RollbackCheck(coordinator, config, tmp_path / "config", deadline_seconds=0.1)
    return asyncio.run(check.verify("m", 1))


def test_a_log_that_cannot_be_read_lets_a_rollback_go_on(tmp_path, monkeypatch):
    def look(*_):
        raise PermissionError(13, "Permission denied")

    found = verified(tmp_path, look, monkeypatch)
    assert (found["state"], found["serving"]) == (UNKNOWN, 2)
    assert "the prediction log cannot be read: [Errno 13]" in found["reason"]


def test_a_log_that_answers_late_is_waited_for_no_longer_than_the_rest(tmp_path, monkeypatch):
    found = verified(tmp_path, lambda *_: time.sleep(0.3), monkeypatch)
    assert (found["state"], found["serving"]) == (UNKNOWN, 2)
    assert found["reason"] == "it was not verified within 0.1 s"


def test_who_killed_a_runner_is_known_to_whoever_asked_it():
    def ask():
        raise ChildEnded(Death("crash", "was killed by SIGKILL", blamed=False))

    with pytest.raises(RunnerEnded) as caught:
        asyncio.run(RunnerProcess(None, time.monotonic)._call(ask))
    assert caught.value.death == Death("crash", "its runner was killed by SIGKILL", blamed=False)


def test_the_log_is_read_before_a_slow_version_counts_as_one_that_hangs(monkeypatch):
    done = []
    monkeypatch.setattr(runner, "read_log", lambda *_: done.append("read") or Logged([]))
    link = SimpleNamespace(send=lambda kind, _=b"": done.append(kind))
    options = SimpleNamespace(rollout=SimpleNamespace(tolerance=Tolerance()))
    plan = SimpleNamespace(name="m", mirror=SimpleNamespace(candidate=1), config=options)
    signature = SimpleNamespace(inputs=(), outputs=(), rows_axis=True)
    asked = {"state": "", "since": 0.0, "serving": 2, "private": []}
    runner._replay(link, SimpleNamespace(signature=signature), plan, asked)
    assert done == ["read", READY, REPORT]
