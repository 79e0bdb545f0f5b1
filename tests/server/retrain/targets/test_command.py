"""A program that is started once, goes on without who started it, and tells how it ended."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from penstock.server.retrain.targets.command import LOCK, CommandTarget
from penstock.server.retrain.targets.contract import Order, Standing, TargetFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[..., Order]

LIMIT_SECONDS = 60.0


def program(place: Path, text: str) -> CommandTarget:
    return CommandTarget((sys.executable, "-c", text), place / "runs")


def ended(target: CommandTarget, handle: str) -> Standing:
    end = time.monotonic() + LIMIT_SECONDS
    while not (found := target.look(handle)).ended:
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def runs(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except OSError:
        return False
    return state != b"Z"


def test_it_gets_the_order_and_is_started_once(tmp_path: Path, order: Make) -> None:
    text = f"import sys; open({str(tmp_path / 'out')!r}, 'a').write(sys.stdin.read() + chr(10))"
    target = program(tmp_path, text)
    handle = target.start(order())
    assert target.start(order(again=True)) == handle
    assert ended(target, handle) == Standing(ended=True, succeeded=True, detail="exit status 0")
    assert target.start(order(again=True)) == handle
    (line,) = (tmp_path / "out").read_text().splitlines()
    assert json.loads(line) == order().payload


def test_a_failure_tells_the_end_of_the_output_and_of_the_environment_nothing_of_ours(
    tmp_path: Path, order: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_TOKEN", "hunter2")
    text = "import os; raise SystemExit('no rows ' + str(os.environ.get('PENSTOCK_TOKEN')))"
    target = program(tmp_path, text)
    found = ended(target, target.start(order()))
    assert found == Standing(ended=True, succeeded=False, detail="exit status 1: no rows None")


def test_it_is_ended_after_its_time_with_all_that_it_started(tmp_path: Path, order: Make) -> None:
    pid = tmp_path / "pid"
    text = (
        "import subprocess, sys; one = subprocess.Popen(['sleep', '600']); "
        f"open({str(pid)!r}, 'w').write(str(one.pid)); one.wait()"
    )
    target = program(tmp_path, text)
    found = ended(target, target.start(replace(order(), time_limit=1.0)))
    assert not found.succeeded
    assert found.detail.startswith("it was ended after 1 s")
    if pid.exists():  # on a busy machine the time may be over before
        assert not runs(int(pid.read_text()))


def test_one_that_was_cut_off_is_not_started_again(tmp_path: Path, order: Make) -> None:
    target = program(tmp_path, "raise SystemExit(0)")
    directory = tmp_path / "runs" / order().key
    directory.mkdir(parents=True)
    (directory / LOCK).touch()  # the machine stopped after the start
    handle = target.start(order(again=True))
    assert not (directory / "result.json").exists()
    found = target.look(handle)
    assert (found.ended, found.succeeded) == (True, False)
    assert "killed" in found.detail


def test_a_program_that_is_not_there_is_told(tmp_path: Path, order: Make) -> None:
    target = CommandTarget(("no-such-program",), tmp_path / "runs")
    found = ended(target, target.start(order()))
    assert found.detail == "no-such-program: No such file or directory"
    with pytest.raises(TargetFailed, match="names no run"):
        target.look("../elsewhere")
