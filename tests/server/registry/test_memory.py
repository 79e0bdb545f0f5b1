"""The estimate is over what loading really takes, and not by much."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from penstock.server.loading.memory_estimate import SESSION_BYTES, estimate
from penstock.server.onnx_file.inspection import inspect_version

EXAMPLES = Path(__file__).parents[3] / "examples" / "registry"
LOAD = """
import sys
from pathlib import Path
from penstock.runtimes.contract import LoadOptions
from penstock.runtimes.onnx import OnnxRuntime
from penstock.runtimes.synthetic import synthetic_inputs

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024

def run(directory):
    runtime = OnnxRuntime()
    model = runtime.load(runtime.find(Path(directory)), LoadOptions())
    model.execute(synthetic_inputs(model.signature, 1), [model.signature.outputs[0].name])
    return model

first = run(sys.argv[1])  # what the library itself takes
before = peak()
second = run(sys.argv[2])
print(peak() - before)
"""


def chain(operator, shape, inputs, count, **attributes):
    generator = np.random.default_rng(0)
    weights = [generator.standard_normal(shape, dtype=np.float32) for _ in range(count)]
    nodes = [
        helper.make_node(operator, [f"h{i}", f"w{i}"], [f"h{i + 1}"], **attributes)
        for i in range(count)
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("h0", TensorProto.FLOAT, inputs)],
        [helper.make_tensor_value_info(f"h{count}", TensorProto.FLOAT, inputs)],
        [numpy_helper.from_array(one, f"w{i}") for i, one in enumerate(weights)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.mark.parametrize("kind", ["dense", "external", "convolution"])
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_loading_takes_no_more_than_estimated(version, kind):
    path = version / "model.onnx"
    if kind == "convolution":
        model = chain("Conv", (256, 256, 3, 3), ["b", 256, 8, 8], 16, pads=[1, 1, 1, 1])
    else:
        model = chain("MatMul", (1024, 1024), ["b", 1024], 9)
    if kind == "external":
        onnx.save(model, path, save_as_external_data=True, location="w.bin")
    else:
        onnx.save(model, path)
    command = [sys.executable, "-c", LOAD, EXAMPLES / "digits" / "1", version]
    taken = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    estimated = estimate(inspect_version(version))
    assert taken <= estimated
    assert estimated <= 4 * taken


def test_a_tiny_model_takes_a_session():
    size = (EXAMPLES / "digits/1/model.onnx").stat().st_size
    assert (
        SESSION_BYTES < estimate(inspect_version(EXAMPLES / "digits/1")) < SESSION_BYTES + 13 * size
    )
