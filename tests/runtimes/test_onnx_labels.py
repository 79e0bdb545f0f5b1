"""Labels that are positions of classes are known by the graph, and no others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper

from penstock.runtimes.contract import Column, LoadOptions
from penstock.runtimes.onnx import OnnxRuntime

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = Path(__file__).parents[2] / "examples" / "registry"
POSITION = (Column("label", ()),)
X = ("x", "FLOAT", ["n", 3])
LABEL = ("label", "INT64", ["n"])
SCORES = ("scores", "FLOAT", ["n", 3])


def constant(name: str, values: Any, dtype: type = np.int64) -> Any:
    return numpy_helper.from_array(np.array(values, dtype), name)


FLAT = constant("flat", [-1])
SOFTMAX = ("Softmax", ["x"], ["scores"])
ARGMAX = ("ArgMax", ["scores"], ["label"], {"axis": 1, "keepdims": 0})


def listed(classes: list[int], to: int = TensorProto.INT64) -> tuple[list[Any], list[Any]]:
    """The graph that skl2onnx makes of a network: the place of the highest score in a list."""
    nodes = [
        SOFTMAX,
        ("ArgMax", ["scores"], ["place"], {"axis": 1}),
        ("ArrayFeatureExtractor", ["classes", "place"], ["found"], {"domain": "ai.onnx.ml"}),
        ("Cast", ["found"], ["cast"], {"to": to}),
        ("Reshape", ["cast", "flat"], ["shaped"]),
        ("Cast", ["shaped"], ["label"], {"to": TensorProto.INT64}),
    ]
    return nodes, [constant("classes", classes), FLAT]


def linear(labels: list[int]) -> tuple[list[Any], list[Any]]:
    attributes = {
        "domain": "ai.onnx.ml",
        "classlabels_ints": labels,
        "coefficients": [1.0, 0, 0, 0, 1, 0, 0, 0, 1],
        "intercepts": [0.0] * 3,
        "multi_class": 1,
        "post_transform": "SOFTMAX",
    }
    return [("LinearClassifier", ["x"], ["label", "scores"], attributes)], []


@pytest.mark.parametrize("version", ["breast-cancer/1", "breast-cancer/2", "digits/1"])
def test_the_labels_of_the_examples_are_positions(version: str) -> None:
    """A linear model, trees and a network of scikit-learn: the label is the highest score."""
    model = OnnxRuntime().load(EXAMPLES / version / "model.onnx", LoadOptions())
    label, scores = model.signature.outputs
    assert (label.columns, scores.columns) == (POSITION, ())
    rows = np.random.default_rng(1).normal(size=(64, model.signature.inputs[0].shape[1])) * 20
    labels, found = model.execute([np.abs(rows).astype(np.float32)], ["label", "probabilities"])
    assert labels.tolist() == found.argmax(axis=1).tolist()


@pytest.mark.parametrize(
    ("nodes", "initializers", "position"),
    [
        (*linear([0, 1, 2]), True),
        (*linear([1, 2, 3]), False),
        (*linear([2, 1, 0]), False),
        (*listed([0, 1, 2]), True),
        (*listed([0, 1, 2], TensorProto.FLOAT), True),
        (*listed([0, 2, 1]), False),
        (*listed([3, 5, 7]), False),
        (*listed([0, 1, 2], TensorProto.BOOL), False),
        ([SOFTMAX, ARGMAX], [], True),
        ([("Softmax", ["x"], ["scores"], {"axis": 1}), ARGMAX], [], True),
        ([SOFTMAX, ("ArgMax", ["x"], ["label"], {"axis": -1, "keepdims": 0})], [], True),
        # The order along the rows says nothing of the order of the classes.
        (
            [
                ("Softmax", ["x"], ["scores"], {"axis": 0}),
                ("ArgMax", ["x"], ["label"], {"axis": 1, "keepdims": 0}),
            ],
            [],
            False,
        ),
        # The highest of scores that nobody sees, in another order.
        (
            [SOFTMAX, ("Neg", ["x"], ["hidden"]), ("ArgMax", ["hidden"], *ARGMAX[2:])],
            [],
            False,
        ),
        ([SOFTMAX, ("ArgMin", ["scores"], *ARGMAX[2:])], [], False),
        (
            [
                SOFTMAX,
                ("ArgMax", ["scores"], ["place"], {"axis": 1, "keepdims": 0}),
                ("Add", ["place", "place"], ["label"]),
            ],
            [],
            False,
        ),
    ],
)
def test_a_label_is_a_position_only_if_the_graph_shows_it(
    load_graph: Callable[..., Any], nodes: list[Any], initializers: list[Any], position: bool
) -> None:
    model = load_graph(nodes, [X], [LABEL, SCORES], initializers=initializers)
    label, scores = model.signature.outputs
    assert (label.columns, scores.columns) == (POSITION if position else (), ())
    rows = np.random.default_rng(2).normal(size=(50, 3)).astype(np.float32)
    labels, found = model.execute([rows], ["label", "scores"])
    if position:
        assert labels.tolist() == found.argmax(axis=1).tolist()


def test_an_output_of_whole_numbers_that_is_no_label_has_no_classes(
    load_graph: Callable[..., Any],
) -> None:
    model = load_graph(
        [("Cast", ["x"], ["label"], {"to": TensorProto.INT64})],
        [("x", "FLOAT", ["n"])],
        [LABEL],
    )
    assert model.signature.outputs[0].columns == ()
