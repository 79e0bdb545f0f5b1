"""What a manifest promises is compared with the model itself, all the way from push to load."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from penstock.monitoring.metrics.metrics import CounterFile
from penstock.runtimes.contract import LoadOptions, Signature, TensorSpec
from penstock.runtimes.onnx import OnnxRuntime
from penstock.server.config.config import load_config
from penstock.server.control.coordination.planner import Planner
from penstock.server.desired_state.state import DesiredState, load
from penstock.server.http.engine import Engine
from penstock.server.registry.accepted_versions import read_accepted
from penstock.server.registry.intake import Intake
from penstock.server.registry.publish import Details, publish
from penstock.server.registry.publish_source import find_source
from penstock.server.registry.signature_diff import contradictions
from penstock.server.serving.lifecycle import State
from penstock.server.target.target import decode_target, encode_target

X = TensorSpec("x", "FP32", (-1, 4))
Y = TensorSpec("y", "FP32", (-1, 4))
NOTHING = DesiredState()
TRUE = Signature((X,), (Y,), batch_axis=True)


def signature_of(place):
    model = OnnxRuntime().load(place / "model.onnx", LoadOptions())
    try:
        return model.signature
    finally:
        model.unload()


def signed(inputs=(X,), outputs=(Y,)):
    return Signature(inputs, outputs, batch_axis=True)


@pytest.mark.parametrize(
    "promised",
    [
        signed(inputs=(replace(X, name="z"),)),
        signed(inputs=(X, replace(X, name="z"))),
        signed(inputs=(X, replace(X, name="z", optional=True))),
        signed(inputs=(replace(X, datatype="FP64"),)),
        signed(inputs=(replace(X, shape=(-1, 5)),)),
        signed(inputs=(replace(X, shape=(-1, -1)),)),
        signed(inputs=(replace(X, shape=(-1, 4, 1)),)),
        signed(outputs=(replace(Y, name="z"),)),
        signed(outputs=()),
        signed(outputs=(replace(Y, datatype="INT64"),)),
        signed(outputs=(replace(Y, shape=(-1, 5)),)),
        signed(outputs=(replace(Y, shape=(4,)),)),
    ],
)
def test_a_promise_that_is_not_kept_contradicts(promised):
    assert contradictions(promised, TRUE)


@pytest.mark.parametrize(
    "promised",
    [
        TRUE,
        signed(inputs=(replace(X, shape=(7, 4)),)),
        signed(outputs=(replace(Y, shape=(-1, -1)),)),
        Signature((X,), (Y,), batch_axis=False),
    ],
    ids=["the same", "the input takes more", "the output is narrower", "batching is our affair"],
)
def test_what_clients_cannot_notice_does_not(promised):
    assert contradictions(promised, TRUE) == ()


@pytest.fixture
def published(tmp_path, model_file):
    """Push a version, and let its manifest claim another signature."""

    def make(promise):
        registry = tmp_path / "registry"
        registry.mkdir(exist_ok=True)
        made = publish(registry, "m", find_source(model_file), Details("t"), check=signature_of)
        path = made.directory / "manifest.json"
        content = json.loads(path.read_text())
        promise(content["signature"])
        made.directory.chmod(0o700)
        path.chmod(0o600)
        path.write_text(json.dumps(content))
        return made.manifest.version

    return make


def keep(_):
    pass


def claim(signature):
    signature["inputs"][0]["datatype"] = "INT64"
    signature["outputs"][0]["name"] = "probability"


def applied(tmp_path, state=NOTHING):
    """The statuses of model m after control's and a worker's part, with all that lies between."""
    planner = Planner(
        tmp_path / "registry",
        tmp_path / "target.msgpack",
        Intake(tmp_path / "state", 1 << 30, 0.0),
        explicit=False,
    )
    planner.note(planner.survey(state, {}))
    target = decode_target(encode_target(planner.draft(state, {})))

    async def main():
        places = {"registry": str(tmp_path / "registry"), "state_dir": str(tmp_path / "state")}
        places["load_trials"] = "false"
        engine = Engine(load_config(places, {}), CounterFile.anonymous())
        await engine.host.apply(target.models)
        await engine.close()
        return engine.catalog.statuses

    return asyncio.run(main())


def test_a_version_that_is_not_what_its_manifest_says_is_refused(tmp_path, published):
    (tmp_path / "state").mkdir(mode=0o700)
    published(keep)
    published(claim)
    for _ in range(2):  # the second time nothing is read but what was noted at the first
        statuses = applied(tmp_path)
        assert statuses["m", "1"].state is not State.FAILED
        assert statuses["m", "2"].state is State.FAILED
        assert statuses["m", "2"].reason == (
            "input 'x' is FP32 [?, 4], in its manifest, INT64 [?, 4]; output 'probability' is not "
            "in the model, in its manifest, FP32 [?, 4]; output 'y' is FP32 [?, 4], in its "
            "manifest, not there"
        )
    accepted = load(DesiredState(), "m", 2, {1, 2}, accept=True)
    assert applied(tmp_path, accepted)["m", "2"].state is not State.FAILED


def test_equal_files_may_be_promised_otherwise(tmp_path, published):
    """Both versions have one copy, since their files are the same; each has its own promise."""
    (tmp_path / "state").mkdir(mode=0o700)
    published(claim)
    published(keep)
    statuses = applied(tmp_path)
    assert statuses["m", "1"].state is State.FAILED
    assert statuses["m", "2"].state is not State.FAILED
    assert len(list((tmp_path / "state" / "copies").glob("[0-9a-f]*"))) == 1


def test_what_was_taken_by_an_older_release_promises_nothing(tmp_path, published):
    (tmp_path / "state").mkdir(mode=0o700)
    published(keep)
    applied(tmp_path)
    path = tmp_path / "state" / "taken.json"
    content = json.loads(path.read_text())
    del content["versions"][0]["signature"]
    path.write_text(json.dumps(content))
    assert read_accepted(path)["m", 1].declared is None
