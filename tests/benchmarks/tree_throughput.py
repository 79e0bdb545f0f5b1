"""How fast a forest of XGBoost is as it is served, by XGBoost itself, and by onnxruntime.

    python tests/benchmarks/tree_throughput.py

One forest is written as ``model.ubj`` and, node by node, as an ONNX ``TreeEnsemble``. The runtimes
of Penstock load both with one thread: XGBoost's answers come from machine code with the same bits,
or from the library. All run in turns, so that a busy machine slows each of them, and each run has
other rows, as in traffic: the same rows again and again would be learnt by the processor. It prints
the median time of a run, and how many times faster the served model is than onnxruntime. The
answers are compared before: those of onnxruntime may differ by rounding, because it adds float32 in
another order. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xgboost
from onnx import TensorProto, helper

from penstock.runtimes.contract import LoadOptions, Model
from penstock.runtimes.onnx import OnnxRuntime
from penstock.runtimes.xgboost.runtime import XgboostRuntime

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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


def seconds(answer: Callable[[Any], Any], batches: Sequence[Any]) -> float:
    """Time of one run."""
    began = time.perf_counter()
    for rows in batches:
        answer(rows)
    return (time.perf_counter() - began) / len(batches)


def answers_of(model: Model) -> Callable[[Any], Any]:
    names = [model.signature.outputs[0].name]
    return lambda rows: model.execute([rows], names)[0]


def compare(trees: int, folder: Path) -> None:
    """Print one line for each number of rows."""
    booster = train(trees)
    booster.save_model(folder / "model.ubj")
    (folder / "model.onnx").write_bytes(as_onnx(booster))
    native = XgboostRuntime().load(folder / "model.ubj", LoadOptions())
    served = answers_of(native)
    converted = answers_of(OnnxRuntime().load(folder / "model.onnx", LoadOptions()))
    booster.set_param({"nthread": 1})
    library = partial(booster.inplace_predict, validate_features=False)
    generator = np.random.default_rng(0)
    for rows in ROWS:
        count = max(4, 4000 // rows * 10 // trees)
        batches = [*generator.standard_normal((count, rows, COLUMNS)).astype(np.float32)]
        one = served(batches[0])
        assert one.tobytes() == library(batches[0]).tobytes()
        np.testing.assert_allclose(one, converted(batches[0]).ravel(), rtol=1e-4, atol=1e-4)
        ways = (served, library, converted)
        rounds = [[seconds(way, batches) for way in ways] for _ in range(ROUNDS)]
        ours, its, theirs = (statistics.median(times) * 1e6 for times in zip(*rounds, strict=True))
        ratio = statistics.median(other / mine for mine, _, other in rounds)
        print(  # noqa: T201  this is what it is for
            f"{trees:5} trees {rows:4} rows: served {ours:7.1f} us ({native.metadata['run_by']}), "
            f"xgboost {its:7.1f} us, onnxruntime {theirs:7.1f} us, ratio {ratio:.2f}"
        )


if __name__ == "__main__":
    formatter = argparse.RawDescriptionHelpFormatter
    argparse.ArgumentParser(description=__doc__, formatter_class=formatter).parse_args()
    for count in TREES:
        with tempfile.TemporaryDirectory() as place:
            compare(count, Path(place))
