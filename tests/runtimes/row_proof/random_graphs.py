"""Random small graphs for the proof to be wrong about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from random import Random

#: Sizes of dimensions: few, so that they are often equal by chance, also to numbers of rows.
SIZES = (1, 2, 2, 3, 4)

UNARY = ("Abs", "Neg", "Relu", "Sigmoid", "Tanh", "Exp", "Floor", "Identity", "Sign", "IsNaN")
BINARY = ("Add", "Sub", "Mul", "Max", "Min", "Greater", "PRelu")
REDUCE = ("ReduceMean", "ReduceMax", "ReduceSum", "ReduceL2", "ReduceProd")


@dataclass
class Draft:
    """A graph while it grows.

    `ranks` are those of its values, guessed: nothing breaks if a guess is wrong.
    """

    random: Random
    opset: int
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)
    ranks: dict[str, int] = field(default_factory=dict)
    count: int = 0

    def name(self) -> str:
        self.count += 1
        return f"v{self.count}"

    def constant(self, values: Any, dtype: Any = np.float32) -> str:
        name = self.name()
        self.initializers.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def tensor(self, rank: int) -> str:
        shape = tuple(self.random.choice(SIZES) for _ in range(rank))
        values = [self.random.uniform(-2, 2) for _ in range(int(np.prod(shape)))]
        return self.constant(np.array(values).reshape(shape))

    def node(self, operator: str, inputs: list[str], rank: int, **attributes: Any) -> None:
        output = self.name()
        attributes = {key: value for key, value in attributes.items() if value is not None}
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        self.ranks[output] = rank

    def any(self) -> tuple[str, int]:
        return self.random.choice(list(self.ranks.items())[-3:])

    def axis(self, rank: int) -> int:
        return self.random.randrange(-rank, rank) if rank else 0


def grow(draft: Draft) -> None:
    """Add one operator."""
    value, rank = draft.any()
    draft.random.choice(GROWTH)(draft, value, rank)


def _unary(draft: Draft, value: str, rank: int) -> None:
    draft.node(draft.random.choice(UNARY[:-1]), [value], rank)


def _binary(draft: Draft, value: str, rank: int) -> None:
    other, other_rank = draft.any()
    if draft.random.random() < 0.6:
        other_rank = draft.random.randrange(0, rank + 2)
        other = draft.tensor(other_rank)
    pair = [value, other] if draft.random.random() < 0.7 else [other, value]
    draft.node(draft.random.choice(BINARY[:5]), pair, max(rank, other_rank))


def _reduce(draft: Draft, value: str, rank: int) -> None:
    operator = draft.random.choice(REDUCE)
    axes = None if draft.random.random() < 0.1 else [draft.axis(rank)]
    keep = draft.random.randrange(2)
    left = rank if keep else (0 if axes is None else rank - 1)
    if draft.opset >= 18 or (operator == "ReduceSum" and draft.opset >= 13):
        inputs = [value] if axes is None else [value, draft.constant(axes, np.int64)]
        draft.node(operator, inputs, left, keepdims=keep)
    else:
        draft.node(operator, [value], left, keepdims=keep, axes=axes)


def _softmax(draft: Draft, value: str, rank: int) -> None:
    axis = None if draft.random.random() < 0.3 else draft.axis(rank)
    draft.node(draft.random.choice(("Softmax", "LogSoftmax")), [value], rank, axis=axis)


def _transpose(draft: Draft, value: str, rank: int) -> None:
    order = list(range(rank))
    draft.random.shuffle(order)
    draft.node("Transpose", [value], rank, perm=order or None)


def _reshape(draft: Draft, value: str, rank: int) -> None:
    wanted = [draft.random.choice((0, -1, 1, 2, 3, 4)) for _ in range(draft.random.randint(1, 3))]
    if draft.random.random() < 0.5:  # by a shape computed from another value's
        source, source_rank = draft.any()
        shape, head = draft.name(), draft.name()
        draft.nodes.append(helper.make_node("Shape", [source], [shape]))
        at = draft.constant([draft.random.randrange(max(source_rank, 1))], np.int64)
        draft.nodes.append(helper.make_node("Gather", [shape, at], [head], axis=0))
        rest = draft.constant(wanted[1:] or [-1], np.int64)
        joined, parts = draft.name(), [head, rest]
        if draft.random.random() < 0.3:
            parts.reverse()
        draft.nodes.append(helper.make_node("Concat", parts, [joined], axis=0))
        draft.node("Reshape", [value, joined], max(len(wanted), 2))
    else:
        draft.node("Reshape", [value, draft.constant(wanted, np.int64)], len(wanted))


def _flatten(draft: Draft, value: str, rank: int) -> None:
    draft.node("Flatten", [value], 2, axis=draft.random.randint(-rank, rank))


def _unsqueeze(draft: Draft, value: str, rank: int) -> None:
    axes = [draft.random.randint(-rank - 1, rank)]
    if draft.opset >= 13:
        draft.node("Unsqueeze", [value, draft.constant(axes, np.int64)], rank + 1)
    else:
        draft.node("Unsqueeze", [value], rank + 1, axes=axes)


def _squeeze(draft: Draft, value: str, rank: int) -> None:
    if draft.opset >= 13:
        inputs = [value]
        if draft.random.random() < 0.8:
            inputs.append(draft.constant([draft.axis(rank)], np.int64))
        draft.node("Squeeze", inputs, max(rank - 1, 0))


def _matmul(draft: Draft, value: str, rank: int) -> None:
    other, other_rank = draft.any()
    if draft.random.random() < 0.6:
        other_rank = draft.random.randint(1, 3)
        other = draft.tensor(other_rank)
    pair = [value, other] if draft.random.random() < 0.6 else [other, value]
    draft.node("MatMul", pair, max(rank, other_rank))


def _gemm(draft: Draft, value: str, _rank: int) -> None:
    inputs = [value, draft.tensor(2)]
    if draft.random.random() < 0.6:
        inputs.append(draft.tensor(draft.random.randrange(3)))
    a, b = draft.random.randrange(2), draft.random.randrange(2)
    draft.node("Gemm", inputs, 2, transA=a, transB=b)


def _gather(draft: Draft, value: str, rank: int) -> None:
    places = draft.constant(draft.random.choice((0, [0], [1, 0], [[0, 1]])), np.int64)
    draft.node("Gather", [value, places], rank, axis=draft.axis(rank))


def _embed(draft: Draft, value: str, rank: int) -> None:
    clipped, whole = draft.name(), draft.name()
    table = draft.tensor(2)
    top = int(np.prod(draft.initializers[-1].dims[:1])) - 1
    low, high = draft.constant(0.0), draft.constant(float(top))
    draft.nodes.append(helper.make_node("Clip", [value, low, high], [clipped]))
    draft.nodes.append(helper.make_node("Cast", [clipped], [whole], to=TensorProto.INT64))
    draft.node("Gather", [table, whole], rank + 1, axis=0)


def _slice(draft: Draft, value: str, rank: int) -> None:
    bounds = [draft.constant([n], np.int64) for n in (draft.random.randrange(2), 9)]
    axes = [] if draft.random.random() < 0.2 else [draft.constant([draft.axis(rank)], np.int64)]
    draft.node("Slice", [value, *bounds, *axes], rank)


def _concat(draft: Draft, value: str, rank: int) -> None:
    other, _ = draft.any()
    draft.node("Concat", [value, other], rank, axis=draft.axis(rank))


def _cumsum(draft: Draft, value: str, rank: int) -> None:
    draft.node("CumSum", [value, draft.constant(draft.axis(rank), np.int64)], rank)


def _arg(draft: Draft, value: str, rank: int) -> None:
    taken, keep = draft.name(), draft.random.randrange(2)
    axis = draft.axis(rank)
    draft.nodes.append(helper.make_node("ArgMax", [value], [taken], axis=axis, keepdims=keep))
    draft.node("Cast", [taken], rank - 1 + keep, to=TensorProto.FLOAT)


def _top(draft: Draft, value: str, rank: int) -> None:
    places, output = draft.name(), draft.name()
    inputs = [value, draft.constant([1], np.int64)]
    draft.nodes.append(helper.make_node("TopK", inputs, [output, places], axis=draft.axis(rank)))
    draft.ranks[output] = rank


def _expand(draft: Draft, value: str, rank: int) -> None:
    shape = [draft.random.choice((1, 1, 2, 3)) for _ in range(draft.random.randint(1, rank + 1))]
    draft.node("Expand", [value, draft.constant(shape, np.int64)], max(rank, len(shape)))


def _expand_to_rows(draft: Draft, value: str, rank: int) -> None:
    shape, _ = draft.name(), 0
    draft.nodes.append(helper.make_node("Shape", [value], [shape]))
    draft.node("Expand", [draft.tensor(draft.random.randint(0, rank)), shape], rank)


def _ones_like(draft: Draft, value: str, rank: int) -> None:
    shape, ones = draft.name(), draft.name()
    draft.nodes.append(helper.make_node("Shape", [value], [shape]))
    draft.nodes.append(helper.make_node("ConstantOfShape", [shape], [ones]))
    draft.node("Add", [value, ones], rank)


def _count_rows(draft: Draft, value: str, rank: int) -> None:
    shape, number, real = draft.name(), draft.name(), draft.name()
    draft.nodes.append(helper.make_node("Shape", [value], [shape]))
    at = draft.constant(draft.random.randrange(max(rank, 1)), np.int64)
    draft.nodes.append(helper.make_node("Gather", [shape, at], [number], axis=0))
    draft.nodes.append(helper.make_node("Cast", [number], [real], to=TensorProto.FLOAT))
    draft.node(draft.random.choice(("Mul", "Add")), [value, real], rank)


def _tile(draft: Draft, value: str, rank: int) -> None:
    repeats = [draft.random.choice((1, 1, 2)) for _ in range(rank)]
    draft.node("Tile", [value, draft.constant(repeats, np.int64)], rank)


def _pad(draft: Draft, value: str, rank: int) -> None:
    pads = [0] * (2 * rank)
    pads[draft.random.randrange(2 * rank) if rank else 0 :][:1] = [1]
    if rank:
        pads[draft.random.randrange(2 * rank)] = 1
    draft.node("Pad", [value, draft.constant(pads, np.int64)], rank)


def _where(draft: Draft, value: str, rank: int) -> None:
    other, other_rank = draft.any()
    mask = draft.name()
    draft.nodes.append(helper.make_node("Greater", [value, draft.constant(0.5)], [mask]))
    draft.node(
        "Where", [mask, other, draft.tensor(draft.random.randrange(2))], max(rank, other_rank)
    )


def _layer_norm(draft: Draft, value: str, rank: int) -> None:
    if draft.opset >= 17:
        draft.node(
            "LayerNormalization", [value, draft.constant([1.5])], rank, axis=draft.axis(rank)
        )


def _einsum(draft: Draft, value: str, _rank: int) -> None:
    other, _ = draft.any()
    equation = draft.random.choice(("ij,kj->ik", "ij,ij->ij", "ij,ij->i", "ij,jk->ik", "ij->ji"))
    inputs = [value, other if draft.random.random() < 0.5 else draft.tensor(2)]
    draft.node("Einsum", inputs[: equation.count(",") + 1], 2, equation=equation)


def _dynamic(draft: Draft, value: str, rank: int) -> None:
    made = [draft.name() for _ in range(3)]
    draft.nodes.append(helper.make_node("DynamicQuantizeLinear", [value], made))
    draft.node("DequantizeLinear", made, rank)


GROWTH = (
    *(
        _unary,
        _binary,
        _binary,
        _binary,
        _reduce,
        _reduce,
        _softmax,
        _transpose,
        _reshape,
        _reshape,
    ),
    *(_flatten, _unsqueeze, _squeeze, _matmul, _matmul, _gemm, _gather, _embed, _slice, _concat),
    *(_cumsum, _arg, _top, _expand, _expand_to_rows, _ones_like, _count_rows, _tile, _pad, _where),
    *(_layer_norm, _einsum, _dynamic),
)


def random_model(random: Random) -> onnx.ModelProto:
    """One or two inputs with rows, a few operators, and the last value as the output."""
    draft = Draft(random, random.choice((11, 13, 18)))
    inputs = []
    for name in ("x", "z")[: random.choice((1, 1, 2))]:
        rest = [random.choice((*SIZES, f"open_{name}")) for _ in range(random.randint(1, 2))]
        inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *rest]))
        draft.ranks[name] = 1 + len(rest)
    for _ in range(random.randint(1, 4)):
        grow(draft)
    output = list(draft.ranks)[-1]
    graph = helper.make_graph(
        draft.nodes,
        "random",
        inputs,
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        initializer=draft.initializers,
    )
    version = helper.make_opsetid("", draft.opset)
    return helper.make_model(graph, opset_imports=[version], ir_version=8)
