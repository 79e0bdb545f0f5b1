"""What is loaded follows the plan: files made again or replaced, configurations mended."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from onnx import numpy_helper

from penstock.monitoring.metrics.metrics import CounterFile
from penstock.server.config.config import load_config
from penstock.server.config.model_config import ModelConfig
from penstock.server.http.engine import Engine
from penstock.server.registry.private_copy import private_copy, replacement_name
from penstock.server.registry.verification import hash_files
from penstock.server.serving.lifecycle import State
from penstock.server.target.plan import ModelPlan

ONE = [np.ones((1, 4), np.float32)]


@pytest.fixture
def copy_of(tmp_path, onnx_model):
    """A private copy of a version that adds a number."""

    def make(number, name=""):
        directory = tmp_path / "registry" / f"adds-{number}"
        if not directory.is_dir():
            directory.mkdir(parents=True)
            weights = numpy_helper.from_array(np.full(4, number, np.float32), "w")
            model = onnx_model(initializers=[weights])
            (directory / "model.onnx").write_bytes(model.SerializeToString())
        (tmp_path / "state").mkdir(exist_ok=True)
        files = hash_files(directory)
        return private_copy(
            directory, tmp_path / "state" / "copies", files, max_bytes=1 << 30, name=name
        )

    return make


@pytest.fixture
def follow(tmp_path):
    """Apply one plan after the other; gives the model that answers after each, and its state."""

    def apply(*plans):
        options = {"registry": str(tmp_path / "registry"), "state_dir": str(tmp_path / "state")}

        async def main():
            engine = Engine(load_config(options, {}), CounterFile.anonymous())
            seen = []
            for plan in plans:
                await engine.host.apply({"m": plan})
                model = engine.catalog.models.get("m")
                served = None if model is None or model.default is None else model.default.model
                said = None if served is None else float(served.execute(ONE, ["y"])[0][0, 0])
                seen.append((said, served, engine.catalog.statuses["m", "1"].state))
            await engine.close()
            return seen

        return asyncio.run(main())

    return apply


def plan(directory, **config):
    return ModelPlan("m", {1: directory}, 1, {}, replace(ModelConfig(), **config))


def test_a_version_whose_files_were_replaced_is_loaded_again(copy_of, follow):
    before, after = follow(plan(copy_of(1)), plan(copy_of(5)))
    assert (before[0], after[0], after[2]) == (2.0, 6.0, State.READY)


def test_a_copy_made_again_with_the_same_files_is_no_reason_to_load(copy_of, follow):
    first = copy_of(1)
    again = copy_of(1, replacement_name(first.name))
    assert first != again
    before, after = follow(plan(first), plan(again))
    assert before[1] is after[1]


def test_a_version_that_failed_is_tried_again_when_its_configuration_is_mended(copy_of, follow):
    bad = plan(copy_of(1), settings={"no-such-setting": 1})
    once, twice, mended = follow(bad, bad, plan(copy_of(1)))
    assert (once[2], twice[2]) == (State.FAILED, State.FAILED)
    assert (mended[0], mended[2]) == (2.0, State.READY)
