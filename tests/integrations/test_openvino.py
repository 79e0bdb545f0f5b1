"""OpenVINO models: answers are those of numpy, nothing is reported, broken files are refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from penstock.runtimes.contract import LoadOptions, ModelExecutionError, ModelLoadError
from penstock.runtimes.openvino.runtime import OpenvinoRuntime
from penstock.runtimes.telemetry import switch_off
from penstock.runtimes.testing import check_runtime
from penstock.server.registry.publish_source import find_source

switch_off()
import openvino  # noqa: E402  after that
from openvino import opset13 as op  # noqa: E402

WEIGHTS = np.random.default_rng(1).random((4, 3), np.float32)


def save(path, *, coupled=False, rows=-1):
    x = op.parameter([rows, 4], np.float32, name="x")
    x.output(0).set_names({"x"})
    scores = op.matmul(x, op.constant(WEIGHTS), transpose_a=False, transpose_b=False)
    if coupled:
        scores = op.subtract(scores, op.reduce_mean(scores, op.constant([0]), keep_dims=True))
    scores.output(0).set_names({"scores"})
    best = op.topk(scores, op.constant(1), 1, "max", "value")
    best.output(1).set_names({"label"})
    model = openvino.Model([scores.output(0), best.output(1)], [x], "m")
    openvino.save_model(model, path, compress_to_fp16=False)
    return path


@pytest.fixture
def model_file(tmp_path):
    return save(tmp_path / "model.xml")


def load(path, **settings):
    return OpenvinoRuntime().load(path, LoadOptions(settings=settings))


def test_answers_are_right_and_rows_share_runs(model_file):
    model = load(model_file)
    assert [(one.name, one.shape) for one in model.signature.inputs] == [("x", (-1, 4))]
    assert [one.name for one in model.signature.outputs] == ["scores", "label"]
    assert model.signature.batch_axis
    for rows in (1, 2, 64):
        x = np.random.default_rng(rows).random((rows, 4), np.float32)
        x.flags.writeable = rows != 2
        scores, label = model.execute([x], ["scores", "label"])
        np.testing.assert_allclose(scores, x @ WEIGHTS, rtol=1e-5)
        assert label.ravel().tolist() == (x @ WEIGHTS).argmax(axis=1).tolist()
    with pytest.raises(ModelExecutionError):
        model.execute([np.zeros((2, 5), np.float32)], ["scores"])


def test_rows_that_influence_each_other_share_no_run(tmp_path):
    model = load(save(tmp_path / "model.xml", coupled=True))
    assert (model.signature.batch_axis, model.signature.rows_axis) == (False, True)
    fixed = save(tmp_path / "model.xml", rows=2)
    assert not load(fixed).signature.rows_axis
    with pytest.raises(ModelLoadError, match="axis 0 of 'x' is not open"):
        load(fixed, batch_axis=True)


def test_the_conformance_kit_passes(model_file):
    check_runtime(OpenvinoRuntime(), model_file.parent)


def test_a_push_takes_the_weights_of_the_same_name_along(tmp_path):
    path = save(tmp_path / "my net.xml")
    source = find_source(path)
    assert (source.name, source.beside) == ("model.xml", ("model.bin",))
    with source.open("model.bin") as (_, size):
        assert size == path.with_suffix(".bin").stat().st_size


def change(old, new):
    def edit(path):
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return edit


def cut_weights(path):
    weights = path.with_suffix(".bin")
    weights.write_bytes(weights.read_bytes()[:-1])


BOMB = '<?xml version="1.0"?><!DOCTYPE net [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;">]><net>&b;'


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (cut_weights, "a constant lies at bytes"),
        (lambda path: path.with_suffix(".bin").unlink(), "a constant lies at bytes"),
        (change('size="48"', 'size="99999999999999"'), "a constant lies at bytes"),
        (change('offset="0"', 'offset="-8"'), "a constant lies at bytes"),
        (change('type="MatMul"', 'type="Evil"'), "cannot load"),
        (lambda path: path.write_text(BOMB), "declares a document type"),
        (lambda path: path.write_text("<net>" + "<a>" * 99), "nested deeper"),
        (lambda path: path.write_text('<?xml version="1.0"?><other/>'), "its root is 'other'"),
    ],
)
def test_hostile_files_are_refused_with_the_reason(model_file, edit, reason):
    edit(model_file)
    with pytest.raises(ModelLoadError, match=reason):
        load(model_file)


def test_nothing_is_reported_and_left_in_the_home_of_the_user(model_file, tmp_path):
    code = f"""
import sys
from pathlib import Path
from penstock.runtimes.contract import LoadOptions
from penstock.runtimes.openvino.runtime import OpenvinoRuntime
OpenvinoRuntime().load(Path({str(model_file)!r}), LoadOptions())
assert not [one for one in sys.modules if one.startswith("openvino_telemetry.")]
"""
    home = tmp_path / "home"
    home.mkdir()
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(home)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert list(Path(home).rglob("*")) == []
