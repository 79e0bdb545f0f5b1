"""When a server that starts has its first target."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

import pytest

from penstock.server.control.coordination.coordinator import Coordinator
from penstock.server.control.coordination.exposition import Exposition
from penstock.server.control.coordination.fleet import Fleet
from penstock.server.control.coordination.planner import Planner
from penstock.server.desired_state.store import StateStore
from penstock.server.registry.intake import Intake

SETTLE_SECONDS = 0.05


@pytest.fixture
def model_file(tmp_path, onnx_file):
    """Version 1 of model m, copied into the registry just now."""
    tensors = [("x", "FLOAT", ["n"])], [("y", "FLOAT", ["n"])]
    at = tmp_path / "registry" / "m" / "1" / "model.onnx"
    return onnx_file(at, [("Relu", ["x"], ["y"])], *tensors)


class SlowPlanner(Planner):
    """A look takes longer than a server that starts waits for the files to keep still."""

    def survey(self, *args, **options):
        found = super().survey(*args, **options)
        time.sleep(3 * SETTLE_SECONDS)
        return found


def first_target(tmp_path):
    """The models of the first target of a control process that starts."""

    async def look():
        intake = Intake(tmp_path / "state", 1 << 30, SETTLE_SECONDS)
        places = tmp_path / "registry", tmp_path / "target"
        fleet = Fleet(Exposition(tmp_path).render)
        config = SimpleNamespace(settle_seconds=SETTLE_SECONDS)
        store = StateStore(tmp_path / "state", lambda: "2031-05-01T12:00:00.000Z")
        coordinator = Coordinator(
            config, store, SlowPlanner(*places, intake, explicit=False), fleet
        )
        async with asyncio.timeout(60):
            while not coordinator.planner.target.number:
                await coordinator.refresh()
        return sorted(coordinator.planner.target.models)

    return asyncio.run(look())


def test_models_just_copied_are_in_the_first_target_however_long_a_look_takes(tmp_path, model_file):
    assert first_target(tmp_path) == ["m"]


def test_a_model_that_does_not_arrive_keeps_no_server_from_starting(tmp_path, model_file):
    model_file.unlink()
    assert first_target(tmp_path) == []
