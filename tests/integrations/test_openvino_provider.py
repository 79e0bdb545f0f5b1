"""A version is run by OpenVINO because its model.toml says so, beside one that is not.

``onnxruntime-openvino`` takes the place of ``onnxruntime``, so it has an environment of its own.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

DIGITS = Path(__file__).parents[2] / "examples" / "registry" / "digits" / "1" / "model.onnx"
#: Made by ``make test-integrations``.
PYTHON = Path(sys.prefix) / "openvino-provider" / "bin" / "python"
PROVIDERS = '[runtime]\nproviders = [["OpenVINOExecutionProvider", {device_type = "CPU"}]]\n'
RNG = np.random.default_rng(1)


def network():
    """Two layers that OpenVINO takes as a whole."""
    value = helper.make_tensor_value_info
    weights = [
        numpy_helper.from_array(RNG.normal(size=shape).astype(np.float32), name)
        for name, shape in (("w", (4, 64)), ("v", (64, 3)))
    ]
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["hidden"]),
            helper.make_node("Tanh", ["hidden"], ["active"]),
            helper.make_node("MatMul", ["active", "v"], ["y"]),
        ],
        "network",
        [value("x", TensorProto.FLOAT, ["n", 4])],
        [value("y", TensorProto.FLOAT, ["n", 3])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture(scope="module")
def server(serve, tmp_path_factory):
    root = tmp_path_factory.mktemp("provider")
    model = network()
    for name in ("plain", "fast"):
        place = root / "registry" / name / "1"
        place.mkdir(parents=True)
        onnx.save(model, place / "model.onnx")
    (root / "registry" / "fast" / "model.toml").write_text(PROVIDERS)
    options = ("--settle-seconds", "0", "--load-timeout-seconds", "300")
    with serve(root / "registry", root / "state", *options, python=PYTHON) as one:
        one.wait()
        yield one


def infer(server, name, rows):
    tensor = {"name": "x", "datatype": "FP32", "shape": rows.shape, "data": rows.tolist()}
    body = json.dumps({"inputs": [tensor]}).encode()
    head = {"content-type": "application/json"}
    url = f"{server.url}/v2/models/{name}/infer"
    with urllib.request.urlopen(urllib.request.Request(url, body, head)) as answer:
        (output,) = json.load(answer)["outputs"]
    return np.array(output["data"]).reshape(output["shape"])


def test_both_answer_alike_and_one_is_run_by_openvino(server):
    for count in (1, 7, 64):
        rows = RNG.normal(size=(count, 4)).astype(np.float32)
        plain, fast = infer(server, "plain", rows), infer(server, "fast", rows)
        np.testing.assert_allclose(fast, plain, rtol=1e-4, atol=1e-5)
    mapped = "".join(
        maps.read_text() for maps in Path("/proc").glob("[0-9]*/maps") if belongs(maps, server)
    )
    assert "libonnxruntime_providers_openvino" in mapped
    assert "libopenvino_intel_cpu_plugin" in mapped


def belongs(maps, server):
    """Whether a process is a worker of this server."""
    try:
        command = maps.with_name("cmdline").read_bytes()
    except OSError:
        return False
    return b"penstock.server.worker.worker" in command and str(server.state).encode() in command


def test_a_model_that_it_cannot_run_is_refused_with_the_reason_of_openvino():
    script = f"""
from pathlib import Path
from penstock.runtimes.contract import LoadOptions, ModelLoadError
from penstock.runtimes.onnx import OnnxRuntime
settings = {{"providers": [["OpenVINOExecutionProvider", {{"device_type": "CPU"}}]]}}
try:
    OnnxRuntime().load(Path({str(DIGITS)!r}), LoadOptions(settings=settings))
except ModelLoadError as error:
    print(error)
"""
    done = subprocess.run([PYTHON, "-c", script], capture_output=True, text=True, check=True)
    assert re.fullmatch(
        r"cannot load \S+: OpenVINO: Unexpected: CPU plug-in doesn't support .*\n", done.stdout
    )
