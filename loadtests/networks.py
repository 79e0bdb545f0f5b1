"""Graphs of two common networks with random weights: a small CNN and a small transformer."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

import numpy as np

#: Pictures of the CNN.
PICTURE: Final = (3, 64, 64)
_CHANNELS: Final = (3, 32, 64, 128, 128)
_CLASSES: Final = 10
#: Tokens of the transformer: positions and features of each.
TOKENS: Final = (64, 128)
_INNER: Final = 512

Graph = tuple[list[Any], list[Any]]


class _Builder:
    """Collects nodes and weights; names follow from order."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self._rng = np.random.default_rng(1)

    def weight(self, *shape: int) -> str:
        from onnx import numpy_helper

        name = f"weight{len(self.weights)}"
        first, *rest = shape
        fan_in = np.float32(np.prod(rest) if len(rest) > 1 else first)
        values = self._rng.standard_normal(shape, np.float32) / np.sqrt(fan_in)
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def node(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        from onnx import helper

        name = output or f"{operator.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    @property
    def graph(self) -> Graph:
        return self.nodes, self.weights


def cnn(widening: int = 1) -> Graph:
    """Four convolutions over 3 x 64 x 64, each pooled, one dense layer: ``features`` in.

    Args:
        widening: So many times the channels.
    """
    build = _Builder()
    value = "features"
    colours, *widths = _CHANNELS
    channels = [colours, *(width * widening for width in widths)]
    for into, out in pairwise(channels):
        kernel = build.weight(out, into, 3, 3)
        value = build.node("Conv", value, kernel, pads=[1, 1, 1, 1], strides=[1, 1])
        value = build.node("Relu", value)
        value = build.node("MaxPool", value, kernel_shape=[2, 2], strides=[2, 2])
    value = build.node("ReduceMean", value, axes=[2, 3], keepdims=0)
    value = build.node("MatMul", value, build.weight(channels[-1], _CLASSES))
    build.node("Softmax", value, axis=1, output="probabilities")
    return build.graph


def transformer(layers: int = 6) -> Graph:
    """Encoder layers of one head over 64 x 128, the mean of the positions: ``features`` in."""
    build = _Builder()
    width = TOKENS[1]
    value = "features"
    for _ in range(layers):
        query, key, mean = (build.node("MatMul", value, build.weight(width, width)) for _ in "qkv")
        scores = build.node("MatMul", query, build.node("Transpose", key, perm=[0, 2, 1]))
        attended = build.node("MatMul", build.node("Softmax", scores, axis=-1), mean)
        value = build.node("Add", value, attended)
        inner = build.node("Relu", build.node("MatMul", value, build.weight(width, _INNER)))
        outer = build.node("MatMul", inner, build.weight(_INNER, width))
        value = build.node("Tanh", build.node("Add", value, outer))
    value = build.node("ReduceMean", value, axes=[1], keepdims=0)
    build.node("MatMul", value, build.weight(width, 2), output="probabilities")
    return build.graph
