"""What a worker that comes back does not load again."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.server.config.model_config import ModelConfig
from penstock.server.processes.deaths import write_deaths
from penstock.server.processes.run_directory import RunDirectory
from penstock.server.processes.watchdog import Death
from penstock.server.target.plan import ModelPlan
from penstock.server.target.target import Target, write_target
from penstock.server.worker.held_back import first_target, hold_back

NOW = 1000.0
DEATHS = [Death("worker-0", "died", NOW - 30 + n, (("bad", "2"),)) for n in range(3)]
LAST = DEATHS[-1].at


def target(**retried):
    versions = {1: Path("/r/1"), 2: Path("/r/2")}
    plans = [
        ModelPlan(name, versions, 2, {}, ModelConfig(), retried={2: at})
        for name, at in {"good": 0.0, "bad": 0.0, **retried}.items()
    ]
    return Target(7, {one.name: one for one in plans})


def kept_out(found):
    return {name: sorted(plan.quarantined) for name, plan in found.models.items()}


def test_a_version_that_three_died_over_is_held_back_until_control_has_judged():
    found = hold_back(target(), DEATHS, NOW, LAST - 60)
    assert kept_out(found) == {"good": [], "bad": [2]}
    assert "3 processes died over it" in found.models["bad"].quarantined[2]
    assert found.number == 7


@pytest.mark.parametrize(
    ("deaths", "now", "written_at", "retried"),
    [
        ([], NOW, 0.0, 0.0),
        (DEATHS[:2], NOW, 0.0, 0.0),
        (DEATHS, NOW + 10_000, 0.0, 0.0),  # long ago
        (DEATHS, NOW, LAST + 5, 0.0),  # control has seen it, and its target is as it is
        (DEATHS, NOW, 0.0, LAST + 1),  # an operator wants it tried again
    ],
)
def test_otherwise_the_target_is_what_control_says(deaths, now, written_at, retried):
    asked = target(bad=retried)
    assert hold_back(asked, deaths, now, written_at) is asked


def test_files_that_are_not_there_or_damaged_hold_nothing_back(tmp_path):
    directory = RunDirectory(tmp_path)
    assert first_target(directory, NOW).number == 0
    write_target(directory.target, target())
    assert kept_out(first_target(directory, NOW)) == {"good": [], "bad": []}
    directory.deaths.write_text("[{}]")
    assert kept_out(first_target(directory, NOW)) == {"good": [], "bad": []}
    written_at = directory.target.stat().st_mtime
    deaths = [Death("worker-0", "died", written_at + n, (("bad", "2"),)) for n in range(3)]
    write_deaths(directory.deaths, deaths)
    assert kept_out(first_target(directory, written_at + 5)) == {"good": [], "bad": [2]}
