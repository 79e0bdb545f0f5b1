"""Matrix products, convolutions and recurrences: rows stay apart unless they are summed over."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from .broadcasting import broadcast
from .reductions import first, leading
from .sizes import ONE
from .tensor import NotProven, RowsCoupled, Tensor

if TYPE_CHECKING:
    from .broadcasting import Arguments, Fresh
    from .graph import Node
    from .sizes import Size

_EQUATION: Final = re.compile(r"[A-Za-z]+(,[A-Za-z]+)*->[A-Za-z]*")
_MATRIX: Final = 2


def product(left: Tensor, right: Tensor, fresh: Fresh) -> Tensor:
    """``MatMul``: the last axis of the left is summed with the last but one of the right.

    Raises:
        RowsCoupled: That is the axis of the rows, or each row meets all others.
    """
    if left.rank < _MATRIX or right.rank < _MATRIX:
        return _with_vector(left, right)
    if left.axis == left.rank - 1 or right.axis == right.rank - 2:
        raise RowsCoupled("it sums over the axis where the rows are")
    shape = (
        *broadcast([left.sizes[:-2], right.sizes[:-2]], fresh),
        left.sizes[-2],
        right.sizes[-1],
    )
    rank = len(shape)
    # Counted from the back, as broadcasting does.
    axes = {one.axis - one.rank for one in (left, right) if one.axis is not None}
    if len(axes) > 1:
        raise RowsCoupled("it combines each row with all others")
    if not axes:
        return Tensor(shape)
    (axis,) = axes
    sizes: set[Size] = set()
    for one in (left, right):
        if one.axis is not None:
            sizes.add(one.sizes[one.axis])
        elif axis < -_MATRIX and one.rank >= -axis and one.sizes[axis] != ONE:
            raise NotProven("it combines rows with a constant that has an axis there")
    if len(sizes) > 1:
        raise NotProven("the numbers of rows of its operands are not known to be equal")
    if axis >= -_MATRIX and left.axis is not None and right.axis is not None:
        raise RowsCoupled("it combines each row with all others")
    at = rank + axis
    return Tensor((*shape[:at], *sizes, *shape[at + 1 :]), at)


def _with_vector(left: Tensor, right: Tensor) -> Tensor:
    """A product with a constant vector on the right."""
    if right.rank != 1 or right.axis is not None or left.rank < _MATRIX:
        raise NotProven("it multiplies with a vector that is not constant")
    if left.axis == left.rank - 1:
        raise RowsCoupled("it sums over the axis where the rows are")
    return Tensor(left.sizes[:-1], left.axis)


def matmul(_node: Node, arguments: Arguments, fresh: Fresh) -> list[Tensor]:
    """MatMul."""
    left, right = _two(arguments)
    return [product(left, right, fresh)]


def fused_matmul(node: Node, arguments: Arguments, fresh: Fresh) -> list[Tensor]:
    """FusedMatMul: scaled by a constant; transposed matrices are not looked at."""
    names = ("transA", "transB", "transBatchA", "transBatchB")
    if any(node.integer(name, 0) for name in names):
        raise NotProven("it transposes what it multiplies")
    return matmul(node, arguments, fresh)


def quantized_matmul(node: Node, arguments: Arguments, fresh: Fresh) -> list[Tensor]:
    """MatMulInteger and QLinearMatMul with one constant scale and zero point per operand."""
    places = (0, 1) if node.operator == "MatMulInteger" else (0, 3)
    for i, one in enumerate(arguments):
        if i not in places and one is not None:
            _single(one)
    return [product(*_two([arguments[i] for i in places]), fresh)]


def gemm(node: Node, arguments: Arguments, fresh: Fresh) -> list[Tensor]:
    """Gemm: a matrix of rows times a constant one, plus a constant that all rows share."""
    left, right = _two(arguments)
    if left.rank != _MATRIX or right.rank != _MATRIX:
        raise NotProven("its operands are no matrices")
    if node.integer("transA", 0):
        left = _transposed(left)
    if node.integer("transB", 0):
        right = _transposed(right)
    result = product(left, right, fresh)
    added = arguments[2] if len(arguments) > _MATRIX else None
    if added is not None:
        lead = added.rank - _MATRIX
        if added.axis is not None or (lead >= 0 and added.sizes[lead] != ONE):
            raise NotProven("what it adds is not the same for all rows")
        if result.axis == 1 and any(size != ONE for size in added.sizes):
            raise NotProven("what it adds is not the same for all rows")
    return [result]


def _transposed(tensor: Tensor) -> Tensor:
    axis = None if tensor.axis is None else 1 - tensor.axis
    return Tensor(tensor.sizes[::-1], axis)


def convolution(node: Node, arguments: Arguments, fresh: Fresh) -> list[Tensor]:
    """Convolutions of pictures ``(rows, channels, ...)`` with constant kernels."""
    pictures = leading(arguments)
    for one in arguments[1:]:
        if one is not None and one.axis is not None:
            raise NotProven("its kernel depends on rows")
    scales = {"ConvInteger": (2,), "QLinearConv": (1, 2, 6, 7)}.get(node.operator, ())
    for i in scales:  # of pictures and results; those of the kernel may be of its channels
        one = arguments[i] if i < len(arguments) else None
        if one is not None:
            _single(one)
    return [Tensor((pictures.sizes[0], *(fresh() for _ in pictures.sizes[1:])), pictures.axis)]


def einsum(node: Node, arguments: Arguments, fresh: Fresh) -> list[Tensor]:
    """Einsum: rows have one letter everywhere, which stays in the result."""
    text = node.attributes.get("equation")
    equation = text.decode(errors="replace").replace(" ", "") if isinstance(text, bytes) else ""
    if not _EQUATION.fullmatch(equation):
        raise NotProven("its equation is not of a kind that is looked at")
    terms, result = equation.split("->")
    letters: set[str] = set()
    rows: set[Size] = set()
    for term, one in zip(terms.split(","), arguments, strict=True):
        if one is None or len(term) != one.rank or len(set(term)) != len(term):
            raise NotProven("its equation does not fit its operands")
        if one.axis is not None:
            letters.add(term[one.axis])
            rows.add(one.sizes[one.axis])
    if not letters:
        return [Tensor(tuple(fresh() for _ in result))]
    if len(letters) > 1:
        raise RowsCoupled("it combines each row with all others")
    (letter,) = letters
    if letter not in result:
        raise RowsCoupled("it sums over the axis where the rows are")
    if len(rows) > 1 or any(
        letter in term and one is not None and one.axis is None
        for term, one in zip(terms.split(","), arguments, strict=True)
    ):
        raise NotProven("the numbers of rows of its operands are not known to be equal")
    (size,) = rows
    shape = tuple(size if one == letter else fresh() for one in result)
    return [Tensor(shape, result.index(letter))]


def recurrence(node: Node, arguments: Arguments, fresh: Fresh) -> list[Tensor]:
    """RNN, GRU and LSTM over ``(time, rows, inputs)`` with constant weights."""
    steps = first(arguments)
    if node.integer("layout", 0) or steps.axis != 1:
        raise NotProven("rows are not on axis 1 of its operand")
    rows = steps.sizes[1]
    for i, one in enumerate(arguments[1:], 1):
        if one is None:
            continue
        weights = i in {1, 2, 3, 7}
        expected = None if weights else 0 if i == 4 else 1  # noqa: PLR2004  lengths, then states
        if one.axis != expected or (expected is not None and one.sizes[expected] != rows):
            raise NotProven("its weights are not constant, or its states are not those of rows")
    hidden = fresh()
    states = Tensor((fresh(), rows, hidden), 1)
    return [Tensor((steps.sizes[0], fresh(), rows, hidden), 2), states, states]


def _two(arguments: Arguments) -> tuple[Tensor, Tensor]:
    left, right = first(arguments), arguments[1]
    if right is None:
        raise NotProven("its second operand is left out")
    return left, right


def _single(tensor: Tensor) -> None:
    if tensor.axis is not None or any(size != ONE for size in tensor.sizes):
        raise NotProven("its scale is not one constant")
