"""Models that were exported in training mode: they change themselves in every run.

``BatchNormalization`` in training mode gives, beside its result, the running mean and variance with
the batch in them. onnxruntime writes both over those that the node read. Where these are weights of
the model and nobody else gets the new ones, the next run begins with them: the same request gets
another answer each time, and every process answers otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.runtimes.row_proof.tensor import NotProven

if TYPE_CHECKING:
    from penstock.runtimes.row_proof.graph import Graph, Node

#: Operator set from which ``training_mode`` says it; before, a second output does.
_TRAINING_MODE: Final = 14
#: Up to this operator set onnxruntime gave the old mean and variance.
_LAST_WITHOUT: Final = 8
#: Places of the mean and of the variance: the one that is read, and the one that is given.
_RUNNING: Final = ((3, 1), (4, 2))


def training_remarks(graph: Graph | str) -> tuple[str, ...]:
    """For people, that a model changes its own weights; nothing if it does not.

    Args:
        graph: Graph of the model, or why it could not be read.
    """
    if isinstance(graph, str):
        return ()
    found = [node for node in graph.nodes if _changes_weights(node, graph)]
    if not found:
        return ()
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    remark = (
        f"{found[0]}{more} is in training mode: the model changes its own weights in every run, so "
        "the same request gets another answer each time; export it for inference (in PyTorch, call "
        "model.eval() before the export)"
    )
    return (remark,)


def _changes_weights(node: Node, graph: Graph) -> bool:
    if node.domain or node.operator != "BatchNormalization" or not _trains(node):
        return False
    return any(
        len(node.inputs) > read
        and node.inputs[read] in graph.initializers
        and len(node.outputs) > given
        and node.outputs[given] not in graph.outputs
        for read, given in _RUNNING
    )


def _trains(node: Node) -> bool:
    if node.opset >= _TRAINING_MODE:
        try:
            return node.integer("training_mode", 0) != 0
        except NotProven:
            return False
    return node.opset > _LAST_WITHOUT and len([name for name in node.outputs if name]) > 1
