"""Models whose versions fail for an exact share of what they are asked, or take so long."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.runtimes.telemetry import import_onnxruntime

from .cases import Case
from .encodings import V2
from .versions import publish
from .wire import build_request

if TYPE_CHECKING:
    from pathlib import Path

    from .wire import Response

#: Inputs of requests are ``FIRST`` to ``FIRST + VALUES``. Below are those that a server makes up
#: to warm a model up, which no version fails at.
FIRST: Final = 1000
VALUES: Final = 10_000

_WIDTH: Final = 128
_CALIBRATION: Final = 2000


def write_flawed(
    registry: Path,
    model: str,
    number: int,
    *,
    errors: float = 0.0,
    invalid: float = 0.0,
    turns: int = 0,
) -> None:
    """Write a version of a model that gives its input back, mostly.

    Args:
        registry: The model repository.
        model: Name of the model.
        number: Number of the version.
        errors: Share of the requests whose run fails.
        invalid: Share of the requests that are answered with NaN.
        turns: Turns of a loop that takes time; `turns_for` has the number.
    """
    publish(registry, model, number, _model(errors, invalid, turns))


def turns_for(seconds: float) -> int:
    """How many turns take so long on this machine when nothing else runs."""
    onnxruntime = import_onnxruntime()

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    content = _model(0.0, 0.0, _CALIBRATION).SerializeToString()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    feed = {"x": np.ones((1, 1), np.float32)}
    taken = []
    for _ in range(5):
        began = time.perf_counter()
        session.run(None, feed)
        taken.append(time.perf_counter() - began)
    return max(1, round(_CALIBRATION * seconds / min(taken)))


class Question(Case):
    """Asks about one value; an answer is right if there is one number in it.

    Args:
        host: ``name:port``.
        path: Path of the prediction route.
        value: 0 to `VALUES`, without the last.
    """

    __slots__ = ()

    def __init__(self, host: str, path: str, value: int) -> None:
        encoded = V2["json"].encode({"x": np.full((1, 1), FIRST + value, np.float32)})
        request = build_request(host, path, encoded.body, dict(encoded.headers))
        super().__init__(request, {"y": np.zeros(1)}, V2["json"].decode, same_values=False)

    def fault(self, response: Response) -> str | None:
        """Why the answer is none, or ``None``."""
        if b"NaN" in response.body or b"null" in response.body:
            return f"is no number: {response.body[:200]!r}"
        return super().fault(response)


def questions(host: str, path: str, count: int, seed: int) -> list[Question]:
    """Independent draws, so that each fails for a version with the probability it was made with."""
    random = np.random.default_rng(seed)
    return [Question(host, path, int(one)) for one in random.integers(0, VALUES, count)]


class _Graph:
    """Nodes and constants of a model in the making."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def constant(self, name: str, value: Any) -> None:
        from onnx import numpy_helper

        self.weights.append(numpy_helper.from_array(np.array(value), name))

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))


def _model(errors: float, invalid: float, turns: int) -> Any:
    from onnx import TensorProto, helper

    graph = _Graph()
    node, constant = graph.node, graph.constant
    # A request fails at the lowest values, is invalid at the next.
    edges = np.cumsum([FIRST, VALUES * errors, VALUES * invalid]).astype(np.float32) - 0.5
    for place, edge in enumerate(edges):
        constant(f"edge{place}", np.float32(edge))
    constant("table", np.zeros(1, np.float32))
    constant("nan", np.float32("nan"))
    node("Less", ["edge0", "x"], "asked")
    node("Less", ["x", "edge1"], "low")
    node("And", ["asked", "low"], "fails")
    # Row 1 of a table of one row: onnxruntime ends the run with an error.
    node("Cast", ["fails"], "row", to=TensorProto.INT64)
    node("Gather", ["table", "row"], "nothing", axis=0)
    node("Add", ["x", "nothing"], "whole")
    node("Less", ["edge1", "x"], "above")
    node("Less", ["x", "edge2"], "below")
    node("And", ["above", "below"], "spoilt")
    node("Where", ["spoilt", "nan", "whole"], "given")
    if turns:
        _add_work(graph, turns)
        node("Add", ["given", "none"], "y")
    else:
        node("Identity", ["given"], "y")
    tensors = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 1]) for name in "xy"
    ]
    whole = helper.make_graph(graph.nodes, "flawed", tensors[:1], tensors[1:], graph.weights)
    return helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _add_work(graph: _Graph, turns: int) -> None:
    """A loop whose result, ``none``, is zero."""
    from onnx import TensorProto, helper

    random = np.random.default_rng(0)
    matrix = (random.standard_normal((_WIDTH, _WIDTH)) / _WIDTH).astype(np.float32)
    for name, value in (
        ("w", matrix),
        ("v", np.ones((1, _WIDTH), np.float32)),
        ("turns", np.int64(turns)),
        ("always", np.bool_(1)),
        ("zero", np.zeros((_WIDTH, 1), np.float32)),
    ):
        graph.constant(name, value)

    def info(name: str, kind: int, shape: list[int]) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    flag, row = TensorProto.BOOL, [1, _WIDTH]
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["before", "w"], ["after"]),
            helper.make_node("Identity", ["go"], ["on"]),
        ],
        "turn",
        [
            info("n", TensorProto.INT64, []),
            info("go", flag, []),
            info("before", TensorProto.FLOAT, row),
        ],
        [info("on", flag, []), info("after", TensorProto.FLOAT, row)],
    )
    graph.node("Loop", ["turns", "always", "v"], "worked", body=body)
    graph.node("MatMul", ["worked", "zero"], "none")
