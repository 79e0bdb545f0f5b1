"""Arithmetic on sizes: what a graph computes from ``Shape`` before it reshapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .reductions import first, normal_axis
from .sizes import Size, product
from .tensor import NotProven, Tensor, integers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .broadcasting import Arguments, Fresh
    from .graph import Node

Numbers = tuple["Size | None", ...]
#: Sizes kept of one tensor.
_MAX_NUMBERS: Final = 64
_INTEGERS: Final = frozenset({6, 7})


def shape_of(node: Node, arguments: Arguments, _fresh: Fresh) -> list[Tensor]:
    """Shape, or a part of it."""
    sizes = first(arguments).sizes
    start, end = node.integer("start", 0), node.integer("end", len(sizes))
    return [_vector(sizes[slice(start, end)])]


def size_of(_node: Node, arguments: Arguments, _fresh: Fresh) -> list[Tensor]:
    """Size: the number of elements."""
    return [Tensor((), None, (product(first(arguments).sizes),))]


def constant_value(node: Node, _arguments: Arguments, _fresh: Fresh) -> list[Tensor]:
    """Constant."""
    attributes = node.attributes
    if isinstance(attributes.get("value"), Tensor):
        return [attributes["value"]]
    if isinstance(attributes.get("value_int"), int):
        return [Tensor((), None, (Size(attributes["value_int"]),))]
    if isinstance(attributes.get("value_ints"), list):
        return [_vector(tuple(map(Size, attributes["value_ints"])))]
    scalar = "value_float" in attributes or "value_string" in attributes
    return [Tensor(() if scalar else None)]


def same(_node: Node, arguments: Arguments, _fresh: Fresh) -> Numbers | None:
    """Identity, and what only gives a vector of sizes another rank."""
    return first(arguments).numbers


def cast(node: Node, arguments: Arguments, _fresh: Fresh) -> Numbers | None:
    """Cast between integers."""
    return first(arguments).numbers if node.attributes.get("to") in _INTEGERS else None


def select(_node: Node, arguments: Arguments, _fresh: Fresh) -> Numbers | None:
    """Gather from a vector of sizes."""
    table = first(arguments)
    if table.numbers is None or table.rank != 1:
        return None
    places = integers(arguments[1], "places")
    size = len(table.numbers)
    return tuple(table.numbers[normal_axis(place, size)] for place in places)


def cut(node: Node, arguments: Arguments, _fresh: Fresh) -> Numbers | None:
    """Slice of a vector of sizes."""
    table = first(arguments)
    if table.numbers is None or table.rank != 1:
        return None
    if len(arguments) > 1:
        start, end = (integers(one, "bounds")[0] for one in arguments[1:3])
        step = 1
        if len(arguments) > 4 and arguments[4] is not None:  # noqa: PLR2004
            (step,) = integers(arguments[4], "steps")
    else:
        start, end = (node.integers("starts") or [0])[0], (node.integers("ends") or [0])[0]
        step = 1
    if step < 1:
        raise NotProven("it reverses sizes")
    return table.numbers[slice(start, end, step)]


def join(_node: Node, arguments: Arguments, _fresh: Fresh) -> Numbers | None:
    """Concat of vectors of sizes."""
    joined: list[Size | None] = []
    for one in arguments:
        if one is None or one.numbers is None or one.rank != 1:
            return None
        joined += one.numbers
    return tuple(joined[: _MAX_NUMBERS + 1])


def arithmetic(node: Node, arguments: Arguments, _fresh: Fresh) -> Numbers | None:
    """Products, quotients, sums and comparisons of sizes."""
    how = _ARITHMETIC[node.operator]
    columns = _columns(arguments)
    return None if columns is None else tuple(how(column) for column in columns)


def _columns(arguments: Arguments) -> list[tuple[Size | None, ...]] | None:
    """The operands of each element, where they have one length or are single."""
    lists = [one.numbers for one in arguments if one is not None]
    if len(lists) < len(arguments) or any(one is None for one in lists):
        return None
    if any(one is not None and one.rank > 1 for one in arguments):
        return None
    known = [one for one in lists if one is not None]
    length = max(map(len, known))
    if length > _MAX_NUMBERS or any(len(one) not in {1, length} for one in known):
        return None
    spread = [one if len(one) == length else one * length for one in known]
    return list(zip(*spread, strict=True))


def _times(column: Sequence[Size | None]) -> Size | None:
    left, right = column
    if left is None or right is None:
        return _unknown(column)
    return left.times(right)


def _over(column: Sequence[Size | None]) -> Size | None:
    left, right = column
    result = None if left is None or right is None else left.divided_by(right)
    return _unknown(column) if result is None else result


def _plus(column: Sequence[Size | None]) -> Size | None:
    return _computed(column, lambda a, b: a + b)


def _minus(column: Sequence[Size | None]) -> Size | None:
    return _computed(column, lambda a, b: a - b)


def _computed(column: Sequence[Size | None], how: Callable[[int, int], int]) -> Size | None:
    numbers = [None if one is None else one.number for one in column]
    if len(numbers) == 2 and numbers[0] is not None and numbers[1] is not None:  # noqa: PLR2004
        return Size(how(numbers[0], numbers[1]))
    return _unknown(column)


def _equal(column: Sequence[Size | None]) -> Size | None:
    left, right = column
    if left and right and left == right:
        return Size(1)
    if left and right:
        one, other = (left, right) if right.number is not None else (right, left)
        number = other.number
        if one.number is not None or (number is not None and number < 0 < one.factor):
            return Size(0)  # a size is never negative
    return _unknown(column)


def _where(column: Sequence[Size | None]) -> Size | None:
    condition, yes, no = column
    if condition is not None and condition.number is not None:
        return yes if condition.number else no
    return _unknown(column)


def _unknown(column: Sequence[Size | None]) -> Size | None:
    """A number that is the same in all runs, of which no more is known: ``None``.

    Raises:
        NotProven: It depends on the number of rows.
    """
    if any(one is not None and one.counts_rows for one in column):
        raise NotProven("it computes with the number of rows")
    return None


_ARITHMETIC: Final[dict[str, Callable[[Sequence[Size | None]], Size | None]]] = {
    "Mul": _times,
    "Div": _over,
    "Add": _plus,
    "Sub": _minus,
    "Equal": _equal,
    "Where": _where,
}


def reduce_product(_node: Node, arguments: Arguments, _fresh: Fresh) -> Numbers | None:
    """ReduceProd of a whole vector of sizes."""
    tensor = first(arguments)
    if tensor.numbers is None or tensor.rank != 1 or any(one is None for one in tensor.numbers):
        return None
    return (product(tuple(one for one in tensor.numbers if one is not None)),)


def filled(node: Node, arguments: Arguments, _fresh: Fresh) -> Numbers | None:
    """ConstantOfShape of a short vector: what it is filled with, 0 unless it says otherwise."""
    wanted = first(arguments).numbers
    lengths = [None if one is None else one.number for one in wanted or ()]
    value = node.attributes.get("value")
    numbers = value.numbers if isinstance(value, Tensor) else (Size(0),)
    if numbers is None or len(lengths) != 1 or lengths[0] is None:
        return None
    return numbers * lengths[0] if 0 <= lengths[0] <= _MAX_NUMBERS else None


def _vector(numbers: tuple[Size, ...]) -> Tensor:
    return Tensor((Size(len(numbers)),), None, numbers)
