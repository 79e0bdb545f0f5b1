"""The proof against plain runs: what it says is proven is never seen to be wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from penstock.runtimes.row_proof.proof import prove_rows
from penstock.runtimes.row_proof.read_graph import read_graph

sys.path.insert(0, str(Path(__file__).parent))

from random_graphs import random_model

if TYPE_CHECKING:
    from collections.abc import Sequence

SEEDS = 1200
ODD = (1.0, 1e6, np.nan, -np.inf, -9999.0)


def _session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(path), options)


def _shapes(session: ort.InferenceSession) -> dict[str, tuple[int, ...]]:
    return {
        node.name: tuple(size if isinstance(size, int) else -1 for size in node.shape)
        for node in session.get_inputs()
    }


def _feed(
    shapes: dict[str, tuple[int, ...]], rows: int, generator: np.random.Generator
) -> dict[str, Any]:
    feed = {}
    for name, shape in shapes.items():
        size = [generator.integers(1, 5) if one < 0 else one for one in shape[1:]]
        values = generator.normal(size=(rows, *size)).astype(np.float32) * 3
        values[generator.integers(rows)] *= generator.choice(ODD)
        feed[name] = values
    return feed


def _answers_alike(session: ort.InferenceSession, feed: dict[str, Any], rows: int) -> bool | None:
    """Whether rows together are answered as alone; ``None`` if the model refuses them alone."""
    try:
        singly = [
            session.run(None, {name: value[i : i + 1] for name, value in feed.items()})[0]
            for i in range(rows)
        ]
    except Exception:  # noqa: BLE001  onnxruntime's exceptions share no base class
        return None
    try:
        together = session.run(None, feed)[0]
    except Exception:  # noqa: BLE001
        return False
    if any(one.ndim == 0 or len(one) != 1 for one in singly) or len(together) != rows:
        return False
    joined = np.concatenate(singly)
    return bool(
        np.allclose(
            together.astype(np.float64), joined.astype(np.float64), 1e-4, 1e-5, equal_nan=True
        )
    )


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_no_random_graph_that_is_proven_is_answered_otherwise_in_company(tmp_path: Path) -> None:
    path, proven, doubted = tmp_path / "model.onnx", 0, 0
    for seed in range(SEEDS):
        onnx.save(random_model(Random(seed)), path)
        try:
            session = _session(path)
        except Exception:  # noqa: BLE001  no model at all
            continue
        shapes = _shapes(session)
        if not prove_rows(read_graph(path), shapes).proven:
            doubted += 1
            continue
        proven += 1
        generator = np.random.default_rng(seed)
        for _ in range(5):
            rows = int(generator.integers(2, 5))
            feed = _feed(shapes, rows, generator)
            assert _answers_alike(session, feed, rows) is not False, f"seed {seed}"
    assert proven > SEEDS // 6
    assert doubted > SEEDS // 6


def _model(
    nodes: Sequence[onnx.NodeProto],
    shape: Sequence[int | str],
    constants: dict[str, Any],
    kind: int = TensorProto.FLOAT,
    opset: int = 18,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        initializer=[numpy_helper.from_array(np.array(v), k) for k, v in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def _proof(tmp_path: Path, model: onnx.ModelProto, shape: tuple[int, ...]) -> Any:
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    return prove_rows(read_graph(path), {"x": shape})


@pytest.mark.parametrize(
    ("opset", "axis", "proven"),
    [
        (11, 1, True),
        (11, 0, False),
        (13, 1, True),
        (13, 0, False),
        (11, None, True),
        (13, -1, True),
    ],
)
def test_softmax_is_read_by_its_operator_set(
    tmp_path: Path, opset: int, axis: int | None, *, proven: bool
) -> None:
    attributes = {} if axis is None else {"axis": axis}
    node = helper.make_node("Softmax", ["x"], ["y"], **attributes)
    found = _proof(tmp_path, _model([node], ["n", 3], {}, opset=opset), (-1, 3))
    assert found.proven is proven
    assert found.coupled is not proven


def test_a_function_of_the_models_own_is_not_taken_for_the_operator_of_its_name(
    tmp_path: Path,
) -> None:
    model = _model([helper.make_node("Relu", ["x"], ["y"], domain="mine")], ["n", 3], {})
    inner = [helper.make_node("Softmax", ["a"], ["b"], axis=0)]
    opsets = [helper.make_opsetid("", 18)]
    model.functions.append(helper.make_function("mine", "Relu", ["a"], ["b"], inner, opsets))
    model.opset_import.append(helper.make_opsetid("mine", 1))
    found = _proof(tmp_path, model, (-1, 3))
    assert not found.proven
    assert "function of the model's own" in found.reason


def test_the_reason_names_operator_node_and_axis(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("ReduceMean", ["x", "axes"], ["m"], name="centre", keepdims=1),
        helper.make_node("Sub", ["x", "m"], ["y"]),
    ]
    found = _proof(tmp_path, _model(nodes, ["n", 3], {"axes": np.array([0])}), (-1, 3))
    assert found.coupled
    assert found.reason == (
        "ReduceMean at node 'centre': it reduces over axis 0, where the rows are"
    )


def test_a_constant_with_rows_of_its_own_is_not_the_same_for_each_row(tmp_path: Path) -> None:
    node = helper.make_node("Add", ["x", "c"], ["y"])
    wide = _model([node], ["n", 3], {"c": np.ones((4, 3), np.float32)})
    assert not _proof(tmp_path, wide, (-1, 3)).proven
    flat = _model([node], ["n", 3], {"c": np.ones((1, 3), np.float32)})
    assert _proof(tmp_path, flat, (-1, 3)).proven


def test_a_reshape_that_the_optimiser_repairs_is_not_proven(tmp_path: Path) -> None:
    """It refuses one row of odd length and would join two."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["rows"], axis=0),
        helper.make_node("Concat", ["rows", "two"], ["wanted"], axis=0),
        helper.make_node("Reshape", ["x", "wanted"], ["y"]),
    ]
    constants = {"first": np.array([0]), "two": np.array([2])}
    model = _model(nodes, ["n", "m"], constants)
    assert not _proof(tmp_path, model, (-1, -1)).proven
    assert _proof(tmp_path, model, (-1, 2)).proven
