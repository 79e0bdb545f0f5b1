"""The state file: what it remembers, how much, and what a damaged one stops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from penstock.server.retrain.retrain_file import KEPT, ModelRuns, RetrainFile
from penstock.server.retrain.run import Data, Phase, Run

if TYPE_CHECKING:
    from pathlib import Path

RUN = Run("m-1", "m", 3, "sha256:0", "drift", "income drifts", "e", "retrain", 3, 5.0)


def test_a_run_comes_back_as_it_was(tmp_path: Path) -> None:
    one = replace(RUN, phase=Phase.RUNNING, data=Data("/a.csv", "00", 7), handle="h")
    RetrainFile(tmp_path / "retrain.json").put("m", ModelRuns(1.0).with_run(one))
    known = RetrainFile(tmp_path / "retrain.json").of("m")
    assert known is not None
    assert known.last == one
    assert (tmp_path / "retrain.json").stat().st_mode & 0o077 == 0


def test_an_end_is_counted_once_and_old_runs_are_forgotten() -> None:
    known = ModelRuns(1.0)
    for number in range(KEPT + 5):
        one = replace(RUN, id=f"m-{number}", phase=Phase.FAILED)
        known = known.with_run(replace(one, phase=Phase.RUNNING)).with_run(one).with_run(one)
    assert known.counts == {"failed": KEPT + 5}
    assert [one.id for one in known.runs] == [f"m-{n}" for n in range(5, KEPT + 5)]


def test_a_damaged_file_is_kept_and_nothing_is_remembered_over_it(tmp_path: Path) -> None:
    path = tmp_path / "retrain.json"
    path.write_text('{"models": {"m": {"since": "never"}}}')
    file = RetrainFile(path)
    assert "since" in file.problem
    with pytest.raises(OSError, match="begin anew"):
        file.put("m", ModelRuns(1.0))
    assert "never" in path.read_text()
