"""Which outputs of an ONNX model are the position of a class, as its graph shows.

A label of whole numbers may be any number that the classes had in the training data: 3 and 7, say.
It is a position only if the graph shows it: a classifier lists its labels, and these are 0, 1, 2
and so on; or the label is the place of the highest score of an output, perhaps looked up in a list
that has each number in its own place. Then names of classes are names of labels, too. Source of the
operators: the specification of ai.onnx.ml.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from penstock.runtimes.row_proof.tensor import NotProven, integers

from .contract import Column

if TYPE_CHECKING:
    from penstock.runtimes.row_proof.graph import Graph, Node

    from .contract import Signature, TensorSpec

_ML: Final = "ai.onnx.ml"
#: Classifiers of ai.onnx.ml and the attribute with their labels; the first output is the label.
_LABELS: Final = {
    "LinearClassifier": "classlabels_ints",
    "SVMClassifier": "classlabels_ints",
    "TreeEnsembleClassifier": "classlabels_int64s",
}
#: Operators of ONNX that change the type or the shape of labels, and no label.
_SAME_LABELS: Final = frozenset({"Identity", "Cast", "Reshape", "Squeeze", "Flatten"})
#: Types to cast to that have each position: FLOAT, INT32, INT64, DOUBLE, UINT32, UINT64.
_WIDE_TYPES: Final = frozenset({1, 6, 7, 11, 12, 13})
#: Operators of ONNX that leave the highest score of a row in its place.
_SAME_ORDER: Final = frozenset({"Identity", "Softmax", "LogSoftmax"})
#: Axes of the classes in scores of rows.
_CLASSES: Final = frozenset({1, -1})
#: Nodes between a label and what it is made of.
_MOST_STEPS: Final = 16


def with_labels(signature: Signature, graph: Graph | str) -> Signature:
    """The signature with a column for each output that is the position of a class. Pure.

    Args:
        signature: As it was observed.
        graph: Graph of the model, or why it could not be read.
    """
    if isinstance(graph, str):
        return signature
    makers = {
        name: node
        for node in graph.nodes
        if (node.domain, node.operator) not in graph.functions
        for name in node.outputs
    }
    outputs = tuple(
        replace(spec, columns=(Column(spec.name, ()),))
        if _may_be_label(spec) and _is_position(spec.name, makers, graph)
        else spec
        for spec in signature.outputs
    )
    return replace(signature, outputs=outputs)


def _may_be_label(spec: TensorSpec) -> bool:
    return len(spec.shape) == 1 and not spec.columns and spec.datatype in {"INT64", "INT32"}


def _is_position(name: str, makers: dict[str, Node], graph: Graph) -> bool:
    node = makers.get(_source(name, makers, _SAME_LABELS))
    if node is None:
        return False
    if node.domain == _ML and node.operator in _LABELS:
        labels = node.attributes.get(_LABELS[node.operator])
        first = node.outputs.index(_source(name, makers, _SAME_LABELS)) == 0
        return first and isinstance(labels, list) and _counts(labels)
    if (node.domain, node.operator) == (_ML, "ArrayFeatureExtractor") and len(node.inputs) > 1:
        try:
            listed = integers(graph.initializers.get(node.inputs[0]), "classes")
        except NotProven:
            return False
        if not _counts(listed):
            return False
        node = makers.get(_source(node.inputs[1], makers, _SAME_LABELS))
    return node is not None and _chooses_highest(node, makers, graph)


def _chooses_highest(node: Node, makers: dict[str, Node], graph: Graph) -> bool:
    """Whether a node gives the place of the highest score among those of an output."""
    if (node.domain, node.operator) != ("", "ArgMax") or not node.inputs:
        return False
    if node.attributes.get("axis", 0) not in _CLASSES:
        return False
    scores = _source(node.inputs[0], makers, _SAME_ORDER)
    return any(_source(name, makers, _SAME_ORDER) == scores for name in graph.outputs)


def _counts(labels: list[int]) -> bool:
    """Whether labels are 0, 1, 2 and so on."""
    return bool(labels) and labels == list(range(len(labels)))


def _source(name: str, makers: dict[str, Node], operators: frozenset[str]) -> str:
    """The value from which a value is made by these operators alone."""
    for _ in range(_MOST_STEPS):
        node = makers.get(name)
        if node is None or node.domain or node.operator not in operators or not node.inputs:
            break
        if node.operator == "Cast" and node.attributes.get("to") not in _WIDE_TYPES:
            break
        if node.operator.endswith("Softmax") and node.attributes.get("axis", -1) not in _CLASSES:
            break
        name = node.inputs[0]
    return name
