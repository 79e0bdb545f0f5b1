"""A model that changes its own weights is told of: exactly when onnxruntime is seen to do so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from penstock.runtimes.contract import LoadOptions
from penstock.runtimes.onnx import OnnxRuntime

if TYPE_CHECKING:
    from pathlib import Path

X = np.array([[1, 2], [3, 4], [10, 20]], np.float32)


def normaliser(
    path: Path,
    opset: int,
    outputs: int,
    shown: int,
    *,
    constant: bool,
    **attributes: Any,
) -> Path:
    """One BatchNormalization; the first of its outputs are shown."""
    names = ["y", "mean", "var", "saved_mean", "saved_var"][:outputs]
    nodes = [helper.make_node("BatchNormalization", ["x", "s", "b", "m", "v"], names, **attributes)]
    ones = [numpy_helper.from_array(np.ones(2, np.float32), name) for name in "sbmv"]
    if not constant:  # the old mean and variance are another node's
        nodes[0].input[3:5] = ["given_m", "given_v"]
        nodes[:0] = [helper.make_node("Abs", [name], [f"given_{name}"]) for name in "mv"]
    tensors = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2] if name in "xy" else [2])
        for name in ["x", *names[:shown]]
    ]
    graph = helper.make_graph(nodes, "g", tensors[:1], tensors[1:], ones)
    opsets = [helper.make_opsetid("", opset)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


@pytest.mark.parametrize(
    ("opset", "outputs", "shown", "constant", "attributes"),
    [
        (15, 3, 1, True, {"training_mode": 1}),
        (14, 3, 2, True, {"training_mode": 1}),
        (9, 5, 1, True, {}),
        (15, 3, 3, True, {"training_mode": 1}),
        (15, 3, 1, False, {"training_mode": 1}),
        (15, 1, 1, True, {}),
        (9, 1, 1, True, {}),
        (7, 5, 1, True, {}),
    ],
)
def test_a_remark_tells_of_a_model_that_changes_its_own_weights(
    tmp_path: Path,
    opset: int,
    outputs: int,
    shown: int,
    constant: bool,
    attributes: dict[str, int],
) -> None:
    path = normaliser(
        tmp_path / "model.onnx", opset, outputs, shown, constant=constant, **attributes
    )
    model = OnnxRuntime().load(path, LoadOptions())
    first, *_, last = [model.execute([X], ["y"])[0] for _ in range(4)]
    changes = not np.array_equal(first, last)
    told = [remark for remark in model.signature.remarks if "changes its own weights" in remark]
    assert len(told) == changes
    assert all("BatchNormalization at node 'y'" in remark for remark in told)
