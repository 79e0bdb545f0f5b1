"""Custom operators of ONNX models, from a library that the operator of the server names."""

from __future__ import annotations

import json
import urllib.request

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnxruntime_extensions import get_library_path

from penstock.runtimes.contract import LoadOptions, ModelLoadError
from penstock.runtimes.onnx import OnnxRuntime
from penstock.runtimes.testing import check_runtime
from penstock.server.cli.main import main

OPTIONS = LoadOptions(operator_libraries=(get_library_path(),))


@pytest.fixture
def model_file(tmp_path):
    """A model that makes texts upper case, which no operator of ONNX's own did for long."""
    node = helper.make_node("StringUpper", ["text"], ["upper"], domain="ai.onnx.contrib")
    given, found = (
        helper.make_tensor_value_info(name, TensorProto.STRING, ["rows"])
        for name in ("text", "upper")
    )
    graph = helper.make_graph([node], "upper", [given], [found])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.contrib", 1)]
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def test_the_operator_runs_and_the_conformance_kit_passes(model_file):
    model = OnnxRuntime().load(model_file, OPTIONS)
    texts = np.array([b"oslo", b"Bergen"], object)
    assert model.execute([texts], ["upper"])[0].tolist() == [b"OSLO", b"BERGEN"]
    check_runtime(OnnxRuntime(), model_file.parent, options=OPTIONS)


def test_without_the_library_or_with_another_file_the_reason_is_told(model_file, tmp_path):
    with pytest.raises(ModelLoadError, match="StringUpper"):
        OnnxRuntime().load(model_file, LoadOptions())
    (tmp_path / "other.so").write_bytes(b"no library")
    other = LoadOptions(operator_libraries=(str(tmp_path / "other.so"),))
    with pytest.raises(ModelLoadError, match=r"cannot load the operator library .*other\.so"):
        OnnxRuntime().load(model_file, other)


@pytest.mark.parametrize("isolation", ["worker", "process"])
def test_it_is_pushed_and_served_where_the_operator_names_the_library(
    serve, model_file, tmp_path, monkeypatch, capsys, isolation
):
    registry = tmp_path / "registry"
    assert main(["push", str(registry), "upper", str(model_file)]) == 1
    said = capsys.readouterr().err
    assert "the custom operator StringUpper" in said
    assert "operator_libraries" in said
    (registry / "upper").mkdir(parents=True)
    (registry / "upper" / "model.toml").write_text(f'isolation = "{isolation}"\n')
    monkeypatch.setenv("PENSTOCK_OPERATOR_LIBRARIES", get_library_path())
    assert main(["push", str(registry), "upper", str(model_file)]) == 0
    named = ("--operator-libraries", get_library_path(), "--load-timeout-seconds", "300")
    with serve(registry, tmp_path / "state", *named) as server:
        server.wait()
        tensor = {"name": "text", "datatype": "BYTES", "shape": [2], "data": ["oslo", "Bergen"]}
        request = urllib.request.Request(
            f"{server.url}/v2/models/upper/infer",
            json.dumps({"inputs": [tensor]}).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            (output,) = json.load(answer)["outputs"]
        assert output["data"] == ["OSLO", "BERGEN"]
