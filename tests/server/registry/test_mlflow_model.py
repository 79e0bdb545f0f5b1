"""``MLmodel`` is read as YAML, and no YAML exhausts or runs anything."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.server.files.refusal import ModelRefused
from penstock.server.registry.mlflow_model import MlflowModel, read_mlflow_model


def test_other_spellings_of_the_same_yaml_are_read(tmp_path):
    model = "{flavors: {onnx: &f {data: a/model.onnx}, again: *f}, run_id: 0123, <<: *f}"
    (tmp_path / "MLmodel").write_text(model)
    assert read_mlflow_model(tmp_path) == MlflowModel("a/model.onnx", "0123")
    other = 'flavors:\n  onnx:\n    "data": "model\\x2eonnx" # it\nrun_id: ~\n'
    (tmp_path / "MLmodel").write_text(other)
    assert read_mlflow_model(tmp_path) == MlflowModel("model.onnx", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: b: c", "MLmodel cannot be read: line 1: mapping values are not allowed here"),
        ("a: 1\nb: [1, 2", "line 2: expected ',' or ']'"),
        ("a: \x07", "special characters are not allowed"),
        ("a: *b", "line 1: found undefined alias 'b'"),
        ("a: &a [*a]", "line 1: found unconstructable recursive node"),
        ("? [a]\n: b", "line 1: found unhashable key"),
        ("a: 1\n---\nb: 2", "line 2: but found another document"),
        ("a: " + "[" * 100_000, "it is nested too deeply"),
        ("- a\n" * 20_001, "it has more than 20000 values"),
        ("flavors: [onnx]", "flavours none"),
        ("flavors: {onnx: model.onnx}", "flavours onnx, expected onnx with the path"),
        ("flavors: {onnx: {data: [model.onnx]}}", "flavours onnx, expected onnx with the path"),
        ("flavors: {onnx: {data: null}}", "flavours onnx, expected onnx with the path"),
        ("x: !!python/object/apply:os.system [false]", "flavours none"),
        ("x: !!timestamp soon\ny: !!float ''\nz: !!int 'x'", "flavours none"),
        ("# " + "x" * (1 << 20), "1048576"),
    ],
)
def test_yaml_that_is_none_or_hostile_is_refused_with_its_place(tmp_path, text, message):
    (tmp_path / "MLmodel").write_text(text)
    with pytest.raises(ModelRefused, match=re.escape(message)):
        read_mlflow_model(tmp_path)


@pytest.mark.parametrize("merge", ["[{}]", "{{<<: [{}]}}"])
def test_aliases_of_aliases_take_no_more_than_their_file(tmp_path, merge):
    bomb = "".join(
        f"x{level}: &x{level} {merge.format(', '.join([f'*x{level - 1}'] * 10))}\n"
        for level in range(1, 60)
    )
    text = f"x0: &x0 {{data: model.onnx}}\n{bomb}flavors: {{onnx: *x0, all: *x59}}"
    (tmp_path / "MLmodel").write_text(text)
    assert read_mlflow_model(tmp_path).model_path == "model.onnx"


@given(st.text(st.sampled_from("ab:- \n[]{},&*!|>'\"#?%@\t<~0"), max_size=60))
def test_any_text_is_read_or_refused(text):
    with tempfile.TemporaryDirectory() as name:
        Path(name, "MLmodel").write_text(text)
        with pytest.raises(ModelRefused):
            read_mlflow_model(Path(name))
