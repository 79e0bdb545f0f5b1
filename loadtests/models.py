"""The models under load: the same file for every server."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.runtimes.telemetry import import_onnxruntime

from .networks import PICTURE, TOKENS, cnn, transformer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .encodings import Tensors
    from .networks import Graph

_OPSETS = (("", 17),)
_IR_VERSION = 8
_HIDDEN = 2048
_IMAGE = (3, 224, 224)
#: Graph, shape of a row, columns of the answer.
_NETWORKS: dict[str, tuple[Callable[[], Graph], tuple[int, ...], int]] = {
    "cnn": (cnn, PICTURE, 10),
    "wide-cnn": (partial(cnn, 2), PICTURE, 10),
    "transformer": (transformer, TOKENS, 2),
    "deep-transformer": (partial(transformer, 18), TOKENS, 2),
}


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model as a file, with the name it is served under."""

    name: str
    path: Path

    def inputs(self, rows: int, count: int, seed: int = 7) -> list[Tensors]:
        """``count`` different requests of ``rows`` rows each, float32 in [0, 1)."""
        session = _session(self.path)
        rng = np.random.default_rng(seed)
        shapes = {i.name: [rows, *i.shape[1:]] for i in session.get_inputs()}
        return [
            {name: rng.random(shape, np.float32) for name, shape in shapes.items()}
            for _ in range(count)
        ]

    def outputs(self, inputs: Tensors) -> Tensors:
        """What the model itself answers: the truth for every server."""
        session = _session(self.path)
        names = [output.name for output in session.get_outputs()]
        results = [np.asarray(result) for result in session.run(names, inputs)]
        return dict(zip(names, results, strict=True))


@lru_cache(maxsize=8)
def _session(path: Path) -> Any:
    onnxruntime = import_onnxruntime()

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def build(name: str, directory: Path) -> ModelFile:
    """Write one of the synthetic models; the same bytes each time.

    Args:
        name: ``mlp`` (30 floats through three layers of 2048: costly, and batches well),
            ``image`` (the mean of each picture of 3 x 224 x 224: 602 kB in, next to no work), or
            a network of `penstock.loadtests.networks`: ``cnn``, ``wide-cnn`` with twice the
            channels, ``transformer``, ``deep-transformer`` with three times the layers.
        directory: Where the file goes.
    """
    from onnx import TensorProto, helper, save

    floats = TensorProto.FLOAT
    if name == "mlp":
        nodes, weights = _mlp()
        shape: list[str | int] = ["batch", 30]
        output = helper.make_tensor_value_info("probabilities", floats, ["batch", 2])
    elif name == "image":
        nodes = [helper.make_node("ReduceMean", ["features"], ["mean"], axes=[1, 2, 3], keepdims=0)]
        weights = []
        shape = ["batch", *_IMAGE]
        output = helper.make_tensor_value_info("mean", floats, ["batch"])
    elif name in _NETWORKS:
        network, sizes, classes = _NETWORKS[name]
        nodes, weights = network()
        shape = ["batch", *sizes]
        output = helper.make_tensor_value_info("probabilities", floats, ["batch", classes])
    else:
        raise ValueError(f"expected mlp, image, {' or '.join(_NETWORKS)}, got {name!r}")
    features = helper.make_tensor_value_info("features", floats, shape)
    graph = helper.make_graph(nodes, name, [features], [output], weights)
    opsets = [helper.make_opsetid(*opset) for opset in _OPSETS]
    path = directory / f"{name}.onnx"
    save(helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION), path)
    return ModelFile(name, path)


def _mlp() -> tuple[list[Any], list[Any]]:
    """Nodes and weights of the multi-layer perceptron."""
    from onnx import helper, numpy_helper

    rng = np.random.default_rng(1)
    widths = (30, _HIDDEN, _HIDDEN, _HIDDEN, 2)
    nodes: list[Any] = []
    weights: list[Any] = []
    previous = "features"
    for layer, (rows, columns) in enumerate(pairwise(widths)):
        matrix = rng.standard_normal((rows, columns), np.float32) * np.float32(rows**-0.5)
        weights.append(numpy_helper.from_array(matrix, f"weight{layer}"))
        nodes.append(helper.make_node("MatMul", [previous, f"weight{layer}"], [f"sum{layer}"]))
        previous = f"sum{layer}"
        if columns != widths[-1]:
            nodes.append(helper.make_node("Relu", [previous], [f"active{layer}"]))
            previous = f"active{layer}"
    nodes.append(helper.make_node("Softmax", [previous], ["probabilities"], axis=1))
    return nodes, weights
