"""How fast a forest is by XGBoost itself, and by onnxruntime from the same trees.

    python tests/benchmarks/tree_throughput.py

One forest of XGBoost is written as ``model.ubj`` and, node by node, as an ONNX ``TreeEnsemble``.
Both are loaded by the runtimes of Penstock with one thread, and run in turns, so that a busy
machine slows both. It prints the median time of a run, and how many times faster XGBoost is. The
answers are compared before: margins may differ by rounding only, because onnxruntime adds float32
in another order. Run it on a quiet machine.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from onnx import TensorProto, helper

from penstock.runtimes.contract import LoadOptions, Model
from penstock.runtimes.onnx import OnnxRuntime
from penstock.runtimes.xgboost.runtime import XgboostRuntime

COLUMNS = 30
TREES = (100, 1000)
ROWS = (1, 10, 100)
ROUNDS = 60


def train(trees: int) -> xgboost.Booster:
    """A regression of depth 6 on made-up rows."""
    generator = np.random.default_rng(trees)
    x = generator.standard_normal((4000, COLUMNS)).astype(np.float32)
    y = x[:, 0] * x[:, 1] + np.abs(x[:, 2]) + generator.standard_normal(4000)
    params = {"max_depth": 6, "eta": 0.1, "nthread": 1, "base_score": 0.0}
    return xgboost.train(params, xgboost.DMatrix(x, y), trees)


def as_onnx(booster: xgboost.Booster) -> bytes:
    """The same trees as one ``TreeEnsembleRegressor``."""
    model = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]
    nodes: dict[str, list[Any]] = {
        name: [] for name in ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids")
    }
    nodes |= {"falsenodeids": [], "missing_value_tracks_true": []}
    targets: dict[str, list[Any]] = {"treeids": [], "nodeids": [], "ids": [], "weights": []}
    for number, tree in enumerate(model["trees"]):
        for node, left in enumerate(tree["left_children"]):
            leaf = left == -1
            nodes["treeids"].append(number)
            nodes["nodeids"].append(node)
            nodes["featureids"].append(tree["split_indices"][node])
            nodes["modes"].append("LEAF" if leaf else "BRANCH_LT")
            nodes["values"].append(0.0 if leaf else tree["split_conditions"][node])
            nodes["truenodeids"].append(0 if leaf else left)
            nodes["falsenodeids"].append(0 if leaf else tree["right_children"][node])
            nodes["missing_value_tracks_true"].append(int(tree["default_left"][node]))
            if leaf:
                targets["treeids"].append(number)
                targets["nodeids"].append(node)
                targets["ids"].append(0)
                targets["weights"].append(tree["split_conditions"][node])
    attributes = {f"nodes_{name}": values for name, values in nodes.items()}
    attributes |= {f"target_{name}": values for name, values in targets.items()}
    forest = helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=1, **attributes
    )
    graph = helper.make_graph(
        [forest],
        "forest",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, COLUMNS])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    made: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    return made


def seconds(model: Model, rows: Any, repeats: int) -> float:
    """Time of one run."""
    names = [model.signature.outputs[0].name]
    began = time.perf_counter()
    for _ in range(repeats):
        model.execute([rows], names)
    return (time.perf_counter() - began) / repeats


def compare(trees: int, folder: Path) -> None:
    """Print one line for each number of rows."""
    booster = train(trees)
    booster.save_model(folder / "model.ubj")
    (folder / "model.onnx").write_bytes(as_onnx(booster))
    native = XgboostRuntime().load(folder / "model.ubj", LoadOptions())
    converted = OnnxRuntime().load(folder / "model.onnx", LoadOptions())
    generator = np.random.default_rng(0)
    for rows in ROWS:
        x = generator.standard_normal((rows, COLUMNS)).astype(np.float32)
        one, other = (m.execute([x], [m.signature.outputs[0].name])[0] for m in (native, converted))
        np.testing.assert_allclose(one.ravel(), other.ravel(), rtol=1e-4, atol=1e-4)
        repeats = max(3, 400 // rows * 100 // trees)
        rounds = [
            (seconds(native, x, repeats), seconds(converted, x, repeats)) for _ in range(ROUNDS)
        ]
        ours, theirs = (statistics.median(column) * 1e6 for column in zip(*rounds, strict=True))
        ratio = statistics.median(b / a for a, b in rounds)
        print(  # noqa: T201  this is what it is for
            f"{trees:5} trees {rows:4} rows: xgboost {ours:9.1f} us, onnxruntime {theirs:9.1f} us, "
            f"ratio {ratio:.2f}"
        )


if __name__ == "__main__":
    for count in TREES:
        with tempfile.TemporaryDirectory() as place:
            compare(count, Path(place))
