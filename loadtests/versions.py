"""Versions of a model that tell which one answered, and registries full of them."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

#: Inputs of every row.
FEATURES: Final = 30


def write_version(
    registry: Path,
    model: str,
    number: int,
    *,
    width: int = 64,
    layers: int = 1,
    dense: bool = True,
    seed: int = 0,
) -> Path:
    """Write a version whose every answer is its number, after the work of some layers.

    It appears at once, under its number, as `penstock push` would make it.

    Args:
        registry: The model repository.
        model: Name of the model.
        number: Number of the version.
        width: Width of each layer; a dense model has about ``4 * (layers - 1) * width ** 2`` bytes.
        layers: Number of layers.
        dense: Whether layers multiply matrices, which batches well; otherwise they work on each
            element, and each row costs the same in any batch, as with trees.
        seed: Seed of the weights; versions of another seed have other files.
    """
    return publish(registry, model, number, _model(number, width, layers, dense=dense, seed=seed))


def publish(registry: Path, model: str, number: int, graph: Any) -> Path:
    """Let a version appear at once, under its number.

    Args:
        registry: The model repository.
        model: Name of the model.
        number: Number of the version.
        graph: An ``onnx.ModelProto``.
    """
    home = registry / model
    staging = home / f".staging-{number}"
    staging.mkdir(parents=True)
    (staging / "model.onnx").write_bytes(graph.SerializeToString())
    return staging.rename(home / str(number))


def explicit(registry: Path, model: str) -> None:
    """Let only commands load versions of the model."""
    home = registry / model
    home.mkdir(parents=True, exist_ok=True)
    (home / "model.toml").write_text('version_policy = "explicit"\n')


def _model(number: int, width: int, layers: int, *, dense: bool, seed: int) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng((seed, number))
    nodes, weights = [], []
    before = "x"
    for layer, (rows, columns) in enumerate(pairwise([FEATURES, *[width] * layers])):
        if layer and not dense:
            nodes.append(helper.make_node("Tanh", [before], [f"r{layer}"]))
            before = f"r{layer}"
            continue
        matrix = rng.standard_normal((rows, columns), np.float32) * np.float32(rows**-0.5)
        weights.append(numpy_helper.from_array(matrix, f"w{layer}"))
        nodes.append(helper.make_node("MatMul", [before, f"w{layer}"], [f"s{layer}"]))
        nodes.append(helper.make_node("Relu", [f"s{layer}"], [f"r{layer}"]))
        before = f"r{layer}"
    weights.append(numpy_helper.from_array(np.zeros((width, 1), np.float32), "zero"))
    weights.append(numpy_helper.from_array(np.array([number], np.float32), "number"))
    nodes.append(helper.make_node("MatMul", [before, "zero"], ["nothing"]))
    nodes.append(helper.make_node("Add", ["nothing", "number"], ["y"]))
    tensors = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size])
        for name, size in (("x", FEATURES), ("y", 1))
    ]
    graph = helper.make_graph(nodes, "version", tensors[:1], tensors[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
