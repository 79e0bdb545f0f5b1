"""Operators that move elements: where the rows are afterwards, if they are still apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .machine_learning import flat_texts
from .reductions import apart, first, leading, normal_axis
from .sizes import ONE, ROWS, Size, product
from .tensor import NotProven, RowsCoupled, Tensor, integers

#: Since this operator set the second operand of Resize is a region.
_RESIZE_HAS_REGION: Final = 11

if TYPE_CHECKING:
    from .broadcasting import Arguments, Fresh
    from .graph import Node
    from .sizes import Shape


def transpose(node: Node, arguments: Arguments, _fresh: Fresh) -> list[Tensor]:
    """Transpose."""
    tensor = first(arguments)
    order = node.integers("perm") or list(range(tensor.rank))[::-1]
    if sorted(order) != list(range(tensor.rank)):
        raise NotProven("its permutation is none of its axes")
    shape = tuple(tensor.sizes[axis] for axis in order)
    return [Tensor(shape, None if tensor.axis is None else order.index(tensor.axis))]


def unsqueeze(node: Node, arguments: Arguments, _fresh: Fresh) -> list[Tensor]:
    """Unsqueeze: axes of size 1 come in."""
    tensor = first(arguments)
    axes = node.integers("axes")
    if axes is None:
        axes = integers(arguments[1], "axes")
    rank = tensor.rank + len(axes)
    added = {normal_axis(axis, rank) for axis in axes}
    if len(added) != len(axes):
        raise NotProven("its axes are given twice")
    old = iter(range(tensor.rank))
    source = [None if i in added else next(old) for i in range(rank)]
    shape = tuple(ONE if i is None else tensor.sizes[i] for i in source)
    return [Tensor(shape, None if tensor.axis is None else source.index(tensor.axis))]


def squeeze(node: Node, arguments: Arguments, _fresh: Fresh) -> list[Tensor]:
    """Squeeze: axes of size 1 that are named go away."""
    tensor = first(arguments)
    axes = node.integers("axes")
    if axes is None:
        if len(arguments) < 2:  # noqa: PLR2004
            raise NotProven("which axes it drops depends on their sizes")
        axes = integers(arguments[1], "axes")
    dropped = {normal_axis(axis, tensor.rank) for axis in axes}
    apart(tensor, dropped, "drops")
    kept = [i for i in range(tensor.rank) if i not in dropped]
    shape = tuple(tensor.sizes[i] for i in kept)
    return [Tensor(shape, None if tensor.axis is None else kept.index(tensor.axis))]


def flatten(node: Node, arguments: Arguments, fresh: Fresh) -> list[Tensor]:
    """Flatten to a matrix."""
    tensor = first(arguments)
    texts = flat_texts(node, arguments, fresh)
    if texts is not None:
        return [texts]
    axis = node.integer("axis", 1)
    axis += tensor.rank if axis < 0 else 0
    return [_reshaped(tensor, (product(tensor.sizes[:axis]), product(tensor.sizes[axis:])))]


def reshape(node: Node, arguments: Arguments, fresh: Fresh) -> list[Tensor]:
    """Reshape to a shape whose entry for the rows is known, or follows from the others."""
    tensor, wanted = first(arguments), arguments[1]
    if wanted is None or wanted.numbers is None or wanted.axis is not None:
        raise NotProven("its shape is not known before a run")
    sizes: list[Size] = []
    rest: int | None = None
    for i, size in enumerate(wanted.numbers):
        if size is None:
            sizes.append(fresh())
        elif size.number == 0:
            if node.integer("allowzero", 0) or i >= tensor.rank:
                raise NotProven("its shape has a zero")
            sizes.append(tensor.sizes[i])
        elif size.number == -1 and rest is None:
            rest = i
            sizes.append(ONE)
        elif size.factor < 0:
            raise NotProven("its shape is not known before a run")
        else:
            sizes.append(size)
    if rest is not None:
        given = product(tuple(sizes))
        left = product(tensor.sizes).divided_by(given)
        if left is None:
            left = _remainder(tensor, sizes, rest, fresh)
        sizes[rest] = left
    _check_fit(tensor, tuple(sizes), inferred=rest is not None)
    return [_reshaped(tensor, tuple(sizes))]


def _check_fit(tensor: Tensor, shape: Shape, *, inferred: bool) -> None:
    """Make sure that a shape without -1 has as many elements as the rows.

    The optimiser of onnxruntime may put -1 in place of an entry: what refuses one row then takes
    several, and joins them.

    Raises:
        NotProven: It is not known.
    """
    if not inferred and tensor.axis is not None and product(tensor.sizes) != product(shape):
        raise NotProven("its shape is not known to have as many elements")


def _remainder(tensor: Tensor, sizes: list[Size], rest: int, fresh: Fresh) -> Size:
    """The entry -1 of a shape, where the sizes are not known to divide.

    It is the same in all runs if the number of rows stands among the other entries as often as in
    the tensor; else it might join rows of several callers where it does not come out even.
    """
    others = sum(size.symbols.count(ROWS) for i, size in enumerate(sizes) if i != rest)
    if others == product(tensor.sizes).symbols.count(ROWS):
        return fresh()
    raise NotProven("its shape may not be a whole number for each row")


def _reshaped(tensor: Tensor, shape: Shape) -> Tensor:
    """The same elements in row-major order under another shape.

    If only axes of size 1 come before that of the rows, the elements of each row follow one
    another. They still do on an axis of the result with only such axes before it, if its size is
    the number of rows times something: each entry of it is a part of one row. The same holds
    behind axes that stay as they are.

    Raises:
        NotProven: It is not so, or not known.
    """
    if tensor.axis is None:
        return Tensor(shape)
    lead = _ones(tensor.sizes)
    if tensor.axis == lead:
        axis = _ones(shape)
        if axis < len(shape) and shape[axis].rows_once:
            return Tensor(shape, axis)
    upto = tensor.axis + 1
    if shape[:upto] == tensor.sizes[:upto]:
        return Tensor(shape, tensor.axis)
    raise NotProven("it is not known to keep rows apart")


def _ones(shape: Shape) -> int:
    """How many axes of size 1 come first."""
    return next((i for i, size in enumerate(shape) if size != ONE), len(shape))


def expand(_node: Node, arguments: Arguments, fresh: Fresh) -> list[Tensor]:
    """Expand: broadcast to a shape, which may say how many rows there are."""
    tensor, wanted = first(arguments), arguments[1]
    if wanted is None or wanted.numbers is None or wanted.axis is not None:
        raise NotProven("its shape is not known before a run")
    asked: list[Size] = [fresh() if size is None else size for size in wanted.numbers]
    rank = max(len(asked), tensor.rank)
    asked = [ONE] * (rank - len(asked)) + asked
    own = (ONE,) * (rank - tensor.rank) + tensor.sizes
    shift = rank - tensor.rank
    axis = None if tensor.axis is None else tensor.axis + shift
    shape = []
    for i, (have, want) in enumerate(zip(own, asked, strict=True)):
        if want.counts_rows and i != axis:
            if axis is not None or have != ONE or not want.rows_once:
                raise NotProven("it spreads something over the rows")
            axis = i
        if i == axis and have != want and ONE not in {have, want}:
            raise NotProven("the numbers of rows of its operands are not known to be equal")
        equal_or_one = want in {have, ONE}
        shape.append(have if equal_or_one else want if have == ONE else fresh())
    return [Tensor(tuple(shape), axis)]


def constant_of_shape(_node: Node, arguments: Arguments, fresh: Fresh) -> list[Tensor]:
    """ConstantOfShape: one value everywhere; along the number of rows, the same for each."""
    wanted = first(arguments)
    if wanted.numbers is None or wanted.axis is not None:
        raise NotProven("its shape is not known before a run")
    shape = tuple(fresh() if size is None else size for size in wanted.numbers)
    counting = [i for i, size in enumerate(shape) if size.counts_rows]
    if not counting:
        return [Tensor(shape)]
    (axis, *more) = counting
    if more or not shape[axis].rows_once:
        raise NotProven("the number of rows is used twice in its shape")
    return [Tensor(shape, axis)]


def tile(_node: Node, arguments: Arguments, fresh: Fresh) -> list[Tensor]:
    """Tile along other axes than that of the rows."""
    tensor = first(arguments)
    times = arguments[1]
    if times is None or times.numbers is None or len(times.numbers) != tensor.rank:
        raise NotProven("its repeats are not known before a run")
    shape: list[Size] = []
    axis = tensor.axis
    for i, (size, repeat) in enumerate(zip(tensor.sizes, times.numbers, strict=True)):
        if i == tensor.axis and repeat != ONE:
            raise RowsCoupled("it repeats the axis where the rows are")
        if repeat is not None and repeat.counts_rows:
            if axis is not None or size != ONE or not repeat.rows_once:
                raise NotProven("it spreads something over the rows")
            axis = i
        shape.append(fresh() if repeat is None else size.times(repeat))
    return [Tensor(tuple(shape), axis)]


def pad(node: Node, arguments: Arguments, fresh: Fresh) -> list[Tensor]:
    """Pad along other axes than that of the rows."""
    tensor = first(arguments)
    if len(arguments) > 3 and arguments[3] is not None:  # noqa: PLR2004
        raise NotProven("which axes it pads is not looked at")
    pads = node.integers("pads")
    if pads is None:
        pads = integers(arguments[1], "pads")
    if len(pads) != 2 * tensor.rank:
        raise NotProven("its pads are not two for each axis")
    if len(arguments) > 2 and arguments[2] is not None and arguments[2].axis is not None:  # noqa: PLR2004
        raise NotProven("what it pads with depends on rows")
    shape = []
    for i, size in enumerate(tensor.sizes):
        padded = pads[i] != 0 or pads[i + tensor.rank] != 0
        if padded and i == tensor.axis:
            raise RowsCoupled("it pads the axis where the rows are")
        shape.append(fresh() if padded else size)
    return [Tensor(tuple(shape), tensor.axis)]


def resize(node: Node, arguments: Arguments, fresh: Fresh) -> list[Tensor]:
    """Resize and Upsample, by scales or sizes that leave rows and their number alone."""
    tensor = leading(arguments)
    region, scales, sizes = [*arguments[1:], None, None, None][:3]
    if node.operator != "Resize" or node.opset < _RESIZE_HAS_REGION:
        region, scales, sizes = None, region, None
    if _given(region) or {"axes", "keep_aspect_ratio_policy"} & node.attributes.keys():
        raise NotProven("how it resizes is not looked at")
    kept, size = (sizes, tensor.sizes[0]) if _given(sizes) else (scales, ONE)
    if kept is None or kept.numbers is None or kept.numbers[:1] != (size,):
        raise NotProven("it is not known to leave the axis of the rows as it is")
    return [Tensor((tensor.sizes[0], *(fresh() for _ in tensor.sizes[1:])), tensor.axis)]


def _given(tensor: Tensor | None) -> bool:
    """Whether an operand is there; old operator sets leave one out by an empty tensor."""
    return tensor is not None and tensor.numbers != ()
