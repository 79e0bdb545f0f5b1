"""Operators that select or join: rows stay apart if that is along other axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .reductions import apart, first, normal_axis
from .sizes import Size
from .tensor import NotProven, RowsCoupled, Tensor, integers

if TYPE_CHECKING:
    from .broadcasting import Arguments, Fresh
    from .graph import Node

#: Since this operator set Slice takes starts, ends and axes as operands.
_SLICE_BY_OPERANDS: Final = 10


def concat(node: Node, arguments: Arguments, fresh: Fresh) -> list[Tensor]:
    """Concat along another axis than that of the rows, of tensors that all have them."""
    tensors = [one for one in arguments if one is not None]
    head = first(arguments)
    axis = normal_axis(node.integer("axis", 1), head.rank)
    for one in tensors:
        apart(one, {axis}, "joins along")
        same = one.axis == head.axis and one.rank == head.rank
        if not same or (one.axis is not None and one.sizes[one.axis] != head.sizes[one.axis]):
            raise NotProven("it joins rows with something that is not known to have as many")
    joined = fresh() if len(tensors) > 1 else head.sizes[axis]
    numbers = [one.sizes[axis].number for one in tensors]
    if None not in numbers:
        joined = Size(sum(number for number in numbers if number is not None))
    return [Tensor((*head.sizes[:axis], joined, *head.sizes[axis + 1 :]), head.axis)]


def split(node: Node, arguments: Arguments, fresh: Fresh) -> list[Tensor]:
    """Split along another axis than that of the rows."""
    tensor = first(arguments)
    axis = normal_axis(node.integer("axis", 0), tensor.rank)
    apart(tensor, {axis}, "splits along")
    if len(arguments) > 1 and arguments[1] is not None and arguments[1].axis is not None:
        raise NotProven("how it splits depends on rows")
    before, after = tensor.sizes[:axis], tensor.sizes[axis + 1 :]
    return [Tensor((*before, fresh(), *after), tensor.axis) for _ in node.outputs]


def slice_(node: Node, arguments: Arguments, fresh: Fresh) -> list[Tensor]:
    """Slice along other axes than that of the rows."""
    tensor = first(arguments)
    if node.opset >= _SLICE_BY_OPERANDS:
        for one in arguments[1:]:
            if one is not None and one.axis is not None:
                raise NotProven("what it selects depends on rows")
        starts = arguments[1]
        if starts is None or starts.shape is None or starts.rank != 1:
            raise NotProven("which axes it selects from is not known")
        count = starts.sizes[0].number
        given = arguments[3] if len(arguments) > 3 else None  # noqa: PLR2004
        axes = None if given is None else integers(given, "axes")
    else:
        count = len(node.integers("starts") or ())
        axes = node.integers("axes")
    if axes is None:
        if count is None:
            raise NotProven("which axes it selects from is not known")
        axes = list(range(count))
    selected = {normal_axis(axis, tensor.rank) for axis in axes}
    apart(tensor, selected, "selects along")
    shape = tuple(fresh() if i in selected else size for i, size in enumerate(tensor.sizes))
    return [Tensor(shape, tensor.axis)]


def gather(node: Node, arguments: Arguments, _fresh: Fresh) -> list[Tensor]:
    """Gather: rows choose from a constant table, or a constant chooses along another axis."""
    table, places = _two(arguments)
    axis = normal_axis(node.integer("axis", 0), table.rank)
    apart(table, {axis}, "selects along")
    shape = (*table.sizes[:axis], *places.sizes, *table.sizes[axis + 1 :])
    if table.axis is not None and places.axis is not None:
        raise RowsCoupled("it lets each row choose from all others")
    if places.axis is not None:
        return [Tensor(shape, axis + places.axis)]
    if table.axis is None:
        return [Tensor(shape)]
    moved = table.axis if table.axis < axis else table.axis + places.rank - 1
    return [Tensor(shape, moved)]


def gather_elements(node: Node, arguments: Arguments, _fresh: Fresh) -> list[Tensor]:
    """GatherElements: each row chooses from itself, along another axis."""
    table, places = _two(arguments)
    axis = normal_axis(node.integer("axis", 0), table.rank)
    apart(table, {axis}, "selects along")
    if table.axis is None or table.axis != places.axis or table.rank != places.rank:
        raise NotProven("it is not known to let each row choose from itself")
    if table.sizes[table.axis] != places.sizes[table.axis]:
        raise NotProven("the numbers of rows of its operands are not known to be equal")
    return [Tensor(places.sizes, places.axis)]


def gather_nd(node: Node, arguments: Arguments, fresh: Fresh) -> list[Tensor]:
    """GatherND: rows choose from a constant table, or from themselves if they are batch axes."""
    table, places = _two(arguments)
    batch = node.integer("batch_dims", 0)
    depth = places.sizes[-1].number if places.rank else None
    if places.axis is None or places.axis == places.rank - 1 or depth is None:
        raise NotProven("it is not known to let each row choose for itself")
    if table.axis is not None:
        if table.axis != places.axis or table.axis >= batch:
            raise RowsCoupled("it lets each row choose from all others")
        if table.sizes[table.axis] != places.sizes[table.axis]:
            raise NotProven("the numbers of rows of its operands are not known to be equal")
    elif places.axis < batch:
        raise NotProven("rows choose from a constant for each place")
    rest = tuple(fresh() for _ in table.sizes[batch + depth :])
    return [Tensor((*places.sizes[:-1], *rest), places.axis)]


def one_hot(node: Node, arguments: Arguments, fresh: Fresh) -> list[Tensor]:
    """OneHot: a new axis with a one in it."""
    tensor, *others = arguments
    if tensor is None or any(one is None or one.axis is not None for one in others):
        raise NotProven("its depth or values depend on rows")
    axis = normal_axis(node.integer("axis", -1), tensor.rank + 1)
    shape = (*tensor.sizes[:axis], fresh(), *tensor.sizes[axis:])
    if tensor.axis is None:
        return [Tensor(shape)]
    return [Tensor(shape, tensor.axis + (axis <= tensor.axis))]


def trilu(_node: Node, arguments: Arguments, _fresh: Fresh) -> list[Tensor]:
    """Trilu: a triangle of the last two axes."""
    tensor = first(arguments)
    apart(tensor, {tensor.rank - 2, tensor.rank - 1}, "cuts a triangle along")
    if len(arguments) > 1 and arguments[1] is not None and arguments[1].axis is not None:
        raise NotProven("where it cuts depends on rows")
    return [Tensor(tensor.sizes, tensor.axis)]


def _two(arguments: Arguments) -> tuple[Tensor, Tensor]:
    table, places = first(arguments), arguments[1]
    if places is None:
        raise NotProven("its second operand is left out")
    return table, places
