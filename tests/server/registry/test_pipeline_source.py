"""`penstock push` of a pipeline: the versions of its steps are looked up, pinned and hashed."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from onnx import numpy_helper

from penstock.server.cli.main import main
from penstock.server.desired_state.state import DesiredState, set_alias
from penstock.server.desired_state.state_file import StateFile
from penstock.server.files.refusal import ModelRefused
from penstock.server.pipelines.pins import LOCK_FILE, read_pipeline
from penstock.server.registry.manifest import digest_of
from penstock.server.registry.pipeline_source import find_pipeline_source
from penstock.server.registry.verification import hash_files, read_manifest

TEXT = """
[[steps]]
name = "one"
model = "add"
inputs = {x = "request.x"}
[[steps]]
name = "two"
model = "add"
version = VERSION
inputs = {x = "one.y"}
[outputs]
y = "two.y"
"""


@pytest.fixture
def registry(tmp_path, onnx_file):
    root = tmp_path / "registry"
    for version in (1, 2, 10):
        onnx_file(
            root / "add" / str(version) / "model.onnx",
            [("Add", ["x", "c"], ["y"])],
            [("x", "FLOAT", ["n", 2])],
            [("y", "FLOAT", ["n", 2])],
            [numpy_helper.from_array(np.float32(version), "c")],
        )
    (root / "add" / "model.toml").touch()
    return root


@pytest.fixture
def push(registry, tmp_path, capsys):
    def one(version="1", *options, text=TEXT):
        path = tmp_path / "mine.toml"
        path.write_text(text.replace("VERSION", version))
        status = main(["push", str(registry), "sum", str(path), *map(str, options)])
        shown = capsys.readouterr()
        return status, shown.out + shown.err

    return one


def test_each_step_is_pinned_with_the_digest_of_its_files(push, registry):
    assert push("1")[0] == 0
    directory = registry / "sum" / "1"
    _, pins = read_pipeline(directory)
    assert [(pin.step, pin.model, pin.version) for pin in pins] == [
        ("one", "add", 10),
        ("two", "add", 1),
    ]
    assert pins[1].digest == digest_of(hash_files(registry / "add" / "1"))
    manifest = read_manifest(directory)
    assert {entry.path for entry in manifest.files} == {"pipeline.toml", LOCK_FILE}
    assert manifest.metadata == {"steps.one": "add version 10", "steps.two": "add version 1"}
    assert manifest.signature.inputs[0].shape == (-1, 2)
    assert manifest.signature.batch_axis


def test_the_same_file_with_newer_steps_is_another_version(push, registry):
    push()
    shutil.copytree(registry / "add" / "2", registry / "add" / "11")
    assert push()[0] == 0
    first, second = (read_manifest(registry / "sum" / str(n)) for n in (1, 2))
    assert first.digest != second.digest
    assert second.metadata["steps.one"] == "add version 11"


def test_an_alias_is_that_of_the_registrys_server_now(push, registry):
    (registry / ".penstock").mkdir()
    state = set_alias(DesiredState(), "add", "canary", 2, {2})
    StateFile(registry / ".penstock").write(state, None)
    assert push('"canary"')[0] == 0
    assert read_pipeline(registry / "sum" / "1")[1][1].version == 2


def test_golden_requests_run_through_all_steps(push, registry, tmp_path):
    examples = tmp_path / "examples.json"
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
    for answer, status in (([12, 13], 0), ([12, 14], 1)):
        stored = {"name": "y", "datatype": "FP32", "shape": [1, 2], "data": answer}
        examples.write_text(json.dumps([{"inputs": [tensor], "outputs": [stored]}]))
        got, shown = push("1", "--examples", examples)
        assert got == status, shown
    assert "output 'y' is 13 at [0, 1], stored is 14" in shown
    assert [one.name for one in (registry / "sum").iterdir()] == ["1"]


@pytest.mark.parametrize(
    ("version", "text", "message"),
    [
        ("7", TEXT, "steps.two: version 7 of model 'add' is not there; there are 1, 2, 10"),
        ('"blue"', TEXT, "steps.two.version is 'blue', expected a number or an alias"),
        ("1", TEXT.replace('"add"', '"sub"', 1), "steps.one.model is 'sub', expected a model of"),
        ("1", TEXT.replace('"add"', '"../add"', 1), "expected a model of"),
        ("1", TEXT.replace("two.y", "two.z"), "outputs.y: 'two.z' is not there"),
        ("1", TEXT.replace("one.y", "two.y"), "in a circle"),
    ],
)
def test_what_cannot_be_pinned_is_not_published(push, registry, version, text, message):
    status, shown = push(version, text=text)
    assert (status, message in shown) == (1, True), shown
    assert not (registry / "sum").exists()


def test_a_step_must_be_no_pipeline(push, registry):
    push()
    status, shown = push("1", text=TEXT.replace('"add"', '"sum"', 1))
    assert (status, "is a pipeline itself, expected a model" in shown) == (1, True)


def test_a_file_without_end_is_not_read(tmp_path, registry):
    path = tmp_path / "large.toml"
    path.write_text("#" * (1 << 17))
    with pytest.raises((ModelRefused, OSError)):
        find_pipeline_source(path, registry, lambda _: {})
