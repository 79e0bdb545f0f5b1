"""Operators that combine elements at the same place: their rows stay where they are."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from .sizes import ONE
from .tensor import NotProven, RowsCoupled, Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .graph import Node
    from .sizes import Shape, Size

    Fresh = Callable[[], Size]
    Arguments = Sequence[Tensor | None]

#: One output whose elements depend on the elements at the same place, after broadcasting.
ELEMENTWISE: Final = frozenset(
    [
        "Abs",
        "Acos",
        "Acosh",
        "Add",
        "And",
        "Asin",
        "Asinh",
        "Atan",
        "Atanh",
        "BitShift",
        "BitwiseAnd",
        "BitwiseNot",
        "BitwiseOr",
        "BitwiseXor",
        "Ceil",
        "Celu",
        "Cos",
        "Cosh",
        "Div",
        "Elu",
        "Equal",
        "Erf",
        "Exp",
        "Floor",
        "Gelu",
        "Greater",
        "GreaterOrEqual",
        "HardSigmoid",
        "HardSwish",
        "Identity",
        "IsInf",
        "IsNaN",
        "LeakyRelu",
        "Less",
        "LessOrEqual",
        "Log",
        "Max",
        "Mean",
        "Min",
        "Mish",
        "Mod",
        "Mul",
        "Neg",
        "Not",
        "Or",
        "PRelu",
        "Pow",
        "Reciprocal",
        "RegexFullMatch",
        "Relu",
        "Round",
        "Selu",
        "Shrink",
        "Sigmoid",
        "Sign",
        "Sin",
        "Sinh",
        "Softplus",
        "Softsign",
        "Sqrt",
        "StringConcat",
        "Sub",
        "Sum",
        "Swish",
        "Tan",
        "Tanh",
        "ThresholdedRelu",
        "Where",
        "Xor",
    ]
)
#: The same in com.microsoft; each bias is broadcast like any operand.
ELEMENTWISE_MICROSOFT: Final = frozenset({"Gelu", "FastGelu", "BiasGelu", "QuickGelu"})
#: The same in ai.onnx.ml.
ELEMENTWISE_ML: Final = frozenset({"Binarizer", "CategoryMapper", "LabelEncoder"})


def combined(tensors: Iterable[Tensor], fresh: Fresh) -> Tensor:
    """The result of an operator that combines elements at the same place.

    Row ``i`` of the result depends on row ``i`` of the operands: all operands with rows have them
    on one axis of the result with the same size, so none of them is stretched along it; all others
    have the size 1 there, or do not reach it, so every row sees the same of them.

    Raises:
        NotProven: It is not so, or not known.
    """
    operands = list(tensors)
    shape = broadcast([one.sizes for one in operands], fresh)
    axes = {len(shape) - one.rank + one.axis for one in operands if one.axis is not None}
    if not axes:
        return Tensor(shape)
    if len(axes) > 1:
        raise RowsCoupled("it combines each row with all others")
    (axis,) = axes
    sizes = {one.sizes[one.axis] for one in operands if one.axis is not None}
    if len(sizes) > 1:
        raise NotProven("the numbers of rows of its operands are not known to be equal")
    for one in operands:
        at = axis - (len(shape) - one.rank)
        if one.axis is None and at >= 0 and one.sizes[at] != ONE:
            raise NotProven("it combines rows with a constant that has an axis there")
    return Tensor((*shape[:axis], *sizes, *shape[axis + 1 :]), axis)


def broadcast(shapes: Sequence[Shape], fresh: Fresh) -> Shape:
    """The shape that operands of these shapes make together."""
    columns = zip_longest(*(reversed(shape) for shape in shapes), fillvalue=ONE)
    return tuple(reversed([_one_of(set(column) - {ONE}, fresh) for column in columns]))


def _one_of(sizes: set[Size], fresh: Fresh) -> Size:
    if len(sizes) > 1:  # equal in fact, or one of them is 1
        return fresh()
    return sizes.pop() if sizes else ONE


def elementwise(_node: Node, arguments: Arguments, fresh: Fresh) -> list[Tensor]:
    """As `combined`, for an operator with one output."""
    return [combined((one for one in arguments if one is not None), fresh)]


def first_alone(_node: Node, arguments: Arguments, _fresh: Fresh) -> list[Tensor]:
    """The first operand decides about shape and rows; the others are single constants."""
    first, *others = arguments
    for one in others:
        if one is not None and (one.axis is not None or any(size != ONE for size in one.sizes)):
            raise NotProven("its parameters are not single constants")
    return [_like(first)]


def dropout(node: Node, arguments: Arguments, _fresh: Fresh) -> list[Tensor]:
    """The identity, unless told to train."""
    training = arguments[2] if len(arguments) > 2 else None  # noqa: PLR2004
    if training is not None:
        numbers = training.numbers
        off = numbers is not None and all(one is not None and one.number == 0 for one in numbers)
        if not off:
            raise NotProven("it may drop values at random")
    result = _like(arguments[0])
    return [result] * len(node.outputs)


def quantize(node: Node, arguments: Arguments, _fresh: Fresh) -> list[Tensor]:
    """QuantizeLinear and DequantizeLinear with constant scales, for all or along another axis."""
    first, *others = arguments
    result = _like(first)
    for one in others:
        if one is None or (all(size == ONE for size in one.sizes) and one.axis is None):
            continue
        if one.axis is not None or one.rank > 1:
            raise NotProven("its scale is not a constant, or has several axes")
        axis = node.integer("axis", 1)
        axis += result.rank if axis < 0 else 0
        if axis == result.axis:
            raise NotProven("each row has a scale of its own place")
    return [result]


def cast(_node: Node, arguments: Arguments, _fresh: Fresh) -> list[Tensor]:
    """Cast and CastLike: the second operand only names a type."""
    return [_like(arguments[0])]


def string_normalizer(node: Node, arguments: Arguments, _fresh: Fresh) -> list[Tensor]:
    """Elementwise, unless it removes words, which moves all that come after."""
    if "stopwords" in node.attributes:
        raise NotProven("it removes stop words")
    return [_like(arguments[0])]


def _like(tensor: Tensor | None) -> Tensor:
    if tensor is None:
        raise NotProven("its first operand is left out")
    return Tensor(tensor.sizes, tensor.axis)
