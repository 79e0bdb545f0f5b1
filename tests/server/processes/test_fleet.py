"""What the workers' reports say of versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from penstock.server.control.coordination.fleet import Fleet, Worker


async def nothing(_):
    return b"", b""


def fleet(*reports):
    made = Fleet(nothing, len(reports))
    for number, states in enumerate(reports):
        models = [
            {"name": "m", "version": version, "state": state, "directory": at, "config": config}
            for version, state, at, config in states
        ]
        worker = Worker(f"worker-{number}", str(number), 1, cast("Any", None), models=models)
        made.workers[str(number)] = worker
    return made


def standing(made, at="/r/1", config="a"):
    return made.standings({"m": None}, {"m": {1: Path(at)}}, {"m": config})["m"]


def test_a_load_that_failed_counts_for_these_files_and_this_configuration_only():
    made = fleet([("1", "FAILED", "/r/1", "a")])
    assert standing(made).failed == {1}
    assert standing(made, at="/r/other").failed == set()
    assert standing(made, config="mended").failed == set()


def test_what_one_worker_cannot_load_and_another_serves_is_broken_and_has_not_failed():
    made = fleet([("1", "FAILED", "/r/1", "a")], [("1", "READY", "/r/1", "a")])
    assert (standing(made).failed, standing(made).broken) == (set(), {1})
