"""Operators that look along axes: rows stay apart if none of these is theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .sizes import ONE, Size
from .tensor import NotProven, RowsCoupled, Tensor, integers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .broadcasting import Arguments, Fresh
    from .graph import Node

REDUCTIONS: Final = frozenset(
    [
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "ReduceSumSquare",
    ]
)
#: Since this operator set the axes of a reduction are an input; ReduceSum came before the others.
_AXES_ARE_INPUT: Final = 18
_AXES_OF_SUM_ARE_INPUT: Final = 13
#: Since this operator set softmax looks along one axis; before, along that and all after it.
_SOFTMAX_ALONG_ONE: Final = 13
#: Since this operator set a batch normalisation says whether it trains.
_TRAINING_MODE: Final = 14


def first(arguments: Arguments) -> Tensor:
    """The first operand.

    Raises:
        NotProven: It is left out.
    """
    if not arguments or arguments[0] is None:
        raise NotProven("its first operand is left out")
    return arguments[0]


def normal_axis(axis: int, rank: int) -> int:
    """An axis counted from the front.

    Raises:
        NotProven: There is no such axis.
    """
    if not -rank <= axis < rank:
        raise NotProven(f"it has no axis {axis}")
    return axis % rank


def apart(tensor: Tensor, axes: Iterable[int], what: str = "works over") -> None:
    """Make sure that an operator does not look along the axis of the rows.

    Raises:
        RowsCoupled: It does.
    """
    if tensor.axis is not None and tensor.axis in axes:
        raise RowsCoupled(f"it {what} axis {tensor.axis}, where the rows are")


def reduce(node: Node, arguments: Arguments, _fresh: Fresh) -> list[Tensor]:
    """One number in place of all along some axes."""
    tensor = first(arguments)
    since = _AXES_OF_SUM_ARE_INPUT if node.operator == "ReduceSum" else _AXES_ARE_INPUT
    axes = node.integers("axes")
    if node.opset >= since and len(arguments) > 1 and arguments[1] is not None:
        axes = integers(arguments[1], "axes")
    if not axes:
        if node.integer("noop_with_empty_axes", 0):
            raise NotProven("it may reduce nothing")
        axes = list(range(tensor.rank))
    reduced = {normal_axis(axis, tensor.rank) for axis in axes}
    apart(tensor, reduced, "reduces over")
    return [_without(tensor, reduced, keep=bool(node.integer("keepdims", 1)))]


def _without(tensor: Tensor, axes: set[int], *, keep: bool) -> Tensor:
    kept = enumerate(tensor.sizes)
    if keep:
        return Tensor(tuple(ONE if i in axes else size for i, size in kept), tensor.axis)
    shape = tuple(size for i, size in kept if i not in axes)
    if tensor.axis is None:
        return Tensor(shape)
    return Tensor(shape, tensor.axis - sum(axis < tensor.axis for axis in axes))


def arg_extreme(node: Node, arguments: Arguments, _fresh: Fresh) -> list[Tensor]:
    """ArgMax and ArgMin."""
    tensor = first(arguments)
    axis = normal_axis(node.integer("axis", 0), tensor.rank)
    apart(tensor, {axis}, "ranks along")
    return [_without(tensor, {axis}, keep=bool(node.integer("keepdims", 1)))]


def top_k(node: Node, arguments: Arguments, fresh: Fresh) -> list[Tensor]:
    """TopK: values and places of the largest along an axis."""
    tensor, k = first(arguments), arguments[1]
    if k is None or k.axis is not None:
        raise NotProven("how many it takes depends on rows")
    axis = normal_axis(node.integer("axis", -1), tensor.rank)
    apart(tensor, {axis}, "ranks along")
    shape = (*tensor.sizes[:axis], fresh(), *tensor.sizes[axis + 1 :])
    return [Tensor(shape, tensor.axis)] * 2


def cumulate(_node: Node, arguments: Arguments, _fresh: Fresh) -> list[Tensor]:
    """CumSum, along the axis that its second operand says."""
    tensor = first(arguments)
    axes = integers(arguments[1], "axes")
    apart(tensor, {normal_axis(axis, tensor.rank) for axis in axes}, "adds up along")
    return [Tensor(tensor.sizes, tensor.axis)]


def softmax(node: Node, arguments: Arguments, _fresh: Fresh) -> list[Tensor]:
    """Softmax, LogSoftmax and Hardmax: along one axis, or in old operator sets from it on."""
    tensor = first(arguments)
    modern = node.opset >= _SOFTMAX_ALONG_ONE
    axis = normal_axis(node.integer("axis", -1 if modern else 1), tensor.rank)
    apart(tensor, {axis} if modern else range(axis, tensor.rank), "normalises over")
    return [Tensor(tensor.sizes, tensor.axis)]


def lp_normalization(node: Node, arguments: Arguments, _fresh: Fresh) -> list[Tensor]:
    """LpNormalization, along one axis."""
    tensor = first(arguments)
    apart(tensor, {normal_axis(node.integer("axis", -1), tensor.rank)}, "normalises over")
    return [Tensor(tensor.sizes, tensor.axis)]


def layer_normalization(node: Node, arguments: Arguments, _fresh: Fresh) -> list[Tensor]:
    """LayerNormalization and its kin: over an axis and all after it, with constant weights."""
    tensor = first(arguments)
    axis = normal_axis(node.integer("axis", -1), tensor.rank)
    apart(tensor, range(axis, tensor.rank), "normalises over")
    constants(arguments[1:], tensor.rank - axis)
    reduced = tuple(ONE if i >= axis else size for i, size in enumerate(tensor.sizes))
    return [Tensor(tensor.sizes, tensor.axis), *[Tensor(reduced, tensor.axis)] * 2]


def skip_layer_normalization(_node: Node, arguments: Arguments, _fresh: Fresh) -> list[Tensor]:
    """The sum of two tensors of one shape, normalised over their last axis."""
    tensor, skip = first(arguments), arguments[1]
    if skip is None or (skip.sizes, skip.axis) != (tensor.sizes, tensor.axis):
        raise NotProven("its two operands are not known to have one shape")
    apart(tensor, {tensor.rank - 1}, "normalises over")
    constants(arguments[2:], 1)
    return [Tensor(tensor.sizes, tensor.axis)]


def channels(_node: Node, arguments: Arguments, _fresh: Fresh) -> list[Tensor]:
    """Normalisations of pictures ``(rows, channels, ...)`` by themselves, with constant weights."""
    tensor = leading(arguments)
    constants(arguments[1:], 1)
    return [Tensor(tensor.sizes, tensor.axis)]


def batch_normalization(node: Node, arguments: Arguments, fresh: Fresh) -> list[Tensor]:
    """With constant mean and variance; in training they are those of the batch."""
    trains = node.integer("training_mode", 0) if node.opset >= _TRAINING_MODE else 0
    if trains or len([name for name in node.outputs if name]) > 1:
        raise RowsCoupled("it normalises over the batch: the model was exported in training mode")
    return channels(node, arguments, fresh)


def mean_variance(node: Node, arguments: Arguments, _fresh: Fresh) -> list[Tensor]:
    """MeanVarianceNormalization over its axes, which by default are rows and picture."""
    tensor = first(arguments)
    axes = node.integers("axes") or [0, 2, 3]
    apart(tensor, {normal_axis(axis, tensor.rank) for axis in axes}, "normalises over")
    return [Tensor(tensor.sizes, tensor.axis)]


def constants(arguments: Arguments, rank: int) -> None:
    """Make sure that operands are constants of at most so many dimensions.

    Raises:
        NotProven: They are not.
    """
    for one in arguments:
        if one is not None and (one.axis is not None or one.rank > rank):
            raise NotProven("its parameters are not constants of the expected rank")


def leading(arguments: Arguments) -> Tensor:
    """The first operand, whose rows are on axis 0 or which has none.

    Raises:
        NotProven: They are elsewhere.
    """
    tensor = first(arguments)
    if tensor.axis not in {0, None}:
        raise NotProven(f"rows are on axis {tensor.axis} of its operand, not 0")
    return tensor


def pictures(node: Node, arguments: Arguments, fresh: Fresh) -> list[Tensor]:
    """Pools of pictures ``(rows, channels, ...)``: each is reduced by itself.

    The second output of MaxPool counts places over the whole batch, so it is not among the results.
    """
    tensor = leading(arguments)
    if node.operator.startswith("Global"):
        spatial = (ONE,) * (tensor.rank - 2)
    else:
        spatial = tuple(fresh() for _ in tensor.sizes[2:])
    return [Tensor((*tensor.sizes[:2], *spatial), tensor.axis)]


def rearranged(node: Node, arguments: Arguments, fresh: Fresh) -> list[Tensor]:
    """DepthToSpace and SpaceToDepth."""
    tensor = leading(arguments)
    side = node.integer("blocksize", 1)
    block, (channel, *rest) = Size(side * side), tensor.sizes[1:]
    deeper = node.operator == "SpaceToDepth"
    depth = channel.times(block) if deeper else (channel.divided_by(block) or fresh())
    return [Tensor((tensor.sizes[0], depth, *(fresh() for _ in rest)), tensor.axis)]
