"""The proof that rows of several callers may share a run, operator by operator.

Let a run be over ``n`` rows: axis 0 of each required input. By induction over the graph, each
value is one of three. It is *the same in all runs*: then no row changes it. Or it *holds rows*:
along one known axis its size is ``n`` times a block, and block ``i`` is what a run over row ``i``
alone would give. Or nothing is known of it. The rules of `operators` keep that: each says from
what its operands are what its outputs are, and raises where it cannot tell. An operator without a
rule: nothing is known. A function of the model's own or a control structure counts as one that lets
rows meet, because what it does for some values only no probe would see. So if each output of
the model holds rows on axis 0 with block 1, rows together are answered as rows alone, up to
rounding: kernels may add in another order when there are more rows.

The optional inputs of a request replace constants. Requests that give any run alone, so they are
constants here, of which the values are not known. Other open dimensions are equal in all requests
of a run (`batch_key`), so each is a symbol that is the same in all runs that may be compared.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .graph import Graph
from .operators import (
    COMPARISONS,
    CONSTANT,
    COUPLING,
    HIDING,
    NUMBERS,
    RULES,
    SHAPE_OPERAND,
    TAKE_PADDED,
)
from .sizes import ROWS, Size
from .tensor import NotProven, RowsCoupled, Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .broadcasting import Arguments
    from .graph import Node
    from .sizes import Shape

#: Broadcasting of operands by other rules was before this operator set, which is older than all
#: that onnxruntime supports.
_OLDEST_OPSET: Final = 7
#: Numbers of dimensions that tensors of unknown shape are supposed to have.
_RANKS: Final = (1, 2, 3, 4)
#: Random if it trains, which its rule looks at.
_DROPOUT: Final = ("", "Dropout")
_SCAN: Final = ("", "Scan")
#: Since this operator set Scan has no batch of its own.
_SCAN_IS_PLAIN: Final = 9
_SCAN_ATTRIBUTES: Final = {"body", "num_scan_inputs"}


@dataclass(frozen=True, slots=True)
class RowProof:
    """What the graph says.

    Attributes:
        proven: Whether rows are answered as if each were alone.
        coupled: Whether an operator on the way to an output is known to let rows meet.
        reason: Reason for which it is not proven, for people; empty if it is.
    """

    proven: bool
    coupled: bool = False
    reason: str = ""


@dataclass(slots=True)
class _Walk:
    """Values of the graph by name, as they become known."""

    graph: Graph
    values: dict[str, Tensor | NotProven] = field(default_factory=dict)
    symbols: itertools.count[int] = field(default_factory=itertools.count)

    def fresh(self) -> Size:
        """A size that is the same in all runs, and no more is known of it."""
        return Size(1, (f"size {next(self.symbols)}",))


def prove_rows(
    graph: Graph, required: Mapping[str, tuple[int, ...]], optional: Iterable[str] = ()
) -> RowProof:
    """Follow the rows through a graph.

    Args:
        graph: The model's.
        required: Shapes of the inputs whose axis 0 holds the rows; negative where a size is open.
        optional: Inputs that replace an initializer, whose value is therefore not known.
    """
    walk = _Walk(graph)
    walk.values.update(graph.initializers)
    for name in optional:
        known = graph.initializers.get(name)
        walk.values[name] = Tensor(None if known is None else known.shape)
    for name, shape in required.items():
        rest = (Size(size) if size >= 0 else walk.fresh() for size in shape[1:])
        walk.values[name] = Tensor((Size(1, (ROWS,)), *rest), 0)
    doubts: list[NotProven] = []
    for node in graph.nodes:
        outputs = _outputs(walk, node)
        walk.values.update((name, one) for name, one in outputs if name)
        if outputs and isinstance(outputs[0][1], NotProven):
            doubts.append(outputs[0][1])
    return _verdict(walk, doubts)


def _verdict(walk: _Walk, doubts: list[NotProven]) -> RowProof:
    """Proven if nothing is in doubt, not even what no output needs: it may fail for many rows."""
    for name in walk.graph.outputs:
        value = walk.values.get(name, NotProven(f"output {name!r} is not computed"))
        if isinstance(value, NotProven):
            doubts.append(value)
        elif value.pad is not None or value.axis != 0 or value.sizes[0] != Size(1, (ROWS,)):
            doubts.append(NotProven(f"output {name!r} does not have the rows on axis 0"))
    if not doubts:
        return RowProof(proven=True)
    coupled = next((one for one in doubts if isinstance(one, RowsCoupled)), None)
    return RowProof(proven=False, coupled=coupled is not None, reason=str(coupled or doubts[0]))


def _outputs(walk: _Walk, node: Node) -> list[tuple[str, Tensor | NotProven]]:
    """What is known of the outputs of a node."""
    arguments: list[Tensor | None] = []
    for name in node.inputs:
        value = walk.values.get(name) if name else None
        if isinstance(value, NotProven):
            known = _coupled_all_the_same(walk, node) or value
            return [(output, known) for output in node.outputs]
        if name and value is None:
            doubt = NotProven(f"{node} uses {name!r}, which no node before it computes")
            return [(output, doubt) for output in node.outputs]
        arguments.append(value)
    try:
        results = _results(walk, node, arguments)
    except NotProven as doubt:
        told = type(doubt)(f"{node}: {doubt}")
        return [(output, told) for output in node.outputs]
    missing = NotProven(f"{node}: its further outputs are not looked at")
    return [
        (name, results[i] if i < len(results) else missing) for i, name in enumerate(node.outputs)
    ]


def _coupled_all_the_same(walk: _Walk, node: Node) -> RowsCoupled | None:
    """Whether a node lets rows meet though nothing is known of an operand.

    A probe of the whole model might not meet the values that show it. So each unknown operand is
    supposed to hold rows on axis 0, with each usual number of dimensions in turn. The node lets
    rows meet if its rule says so for all numbers of dimensions that it takes.
    """
    found: RowsCoupled | None = None
    for rank in _RANKS:
        supposed = Tensor((Size(1, (ROWS,)), *(walk.fresh() for _ in range(rank - 1))), 0)
        values = [walk.values.get(name) if name else None for name in node.inputs]
        arguments = [supposed if isinstance(one, NotProven) else one for one in values]
        try:
            _results(walk, node, arguments)
        except RowsCoupled as coupled:
            found = RowsCoupled(f"{node}: {coupled}")
        except NotProven:
            continue
        else:
            return None
    return found


def _results(walk: _Walk, node: Node, arguments: Sequence[Tensor | None]) -> list[Tensor]:
    """The outputs of a node whose operands are known.

    Raises:
        NotProven: Nothing is known of them.
    """
    key = node.domain, node.operator
    same = all(one is None or (one.axis is None and not one.counts_rows) for one in arguments)
    if key in walk.graph.functions:
        raise RowsCoupled("it is a function of the model's own, whose steps are not read")
    if not node.domain and node.opset < _OLDEST_OPSET:
        raise NotProven(f"operator set {node.opset} is not looked at")
    rule = RULES.get(key)
    if (
        same
        and arguments
        and key != _DROPOUT
        and (rule is not None or (key[0] == "" and key[1] in CONSTANT))
    ):
        return _of_constants(walk, node, arguments)
    if key == _SCAN:
        stacked = _scanned(walk, node, arguments)
        if stacked is not None:
            return stacked
    hidden = COUPLING.get(key) or HIDING.get(key)
    if hidden is not None:
        raise RowsCoupled(hidden)
    if rule is None:
        raise NotProven("this operator is not known to keep rows apart")
    return _by_rule(walk, node, arguments)


def _scanned(walk: _Walk, node: Node, arguments: Arguments) -> list[Tensor] | None:
    """The outputs of a Scan along another axis than that of the rows; ``None`` if not known.

    By induction over its steps: the states begin as known, and a step whose states are so gives
    states of the same kind back. So each step's outputs are what the body's walk finds, and they
    are stacked along a new first axis.
    """
    body, given = node.attributes.get("body"), [one for one in arguments if one is not None]
    if (
        not isinstance(body, Graph)
        or node.opset < _SCAN_IS_PLAIN
        or node.attributes.keys() - _SCAN_ATTRIBUTES
        or len(given) != len(body.inputs)
    ):
        return None
    states = len(given) - node.integer("num_scan_inputs", 0)
    if any(one.axis == 0 or not one.shape or one.pad for one in given[states:]):
        return None
    begin = [Tensor(one.shape, one.axis) for one in given[:states]] + [
        Tensor(one.sizes[1:], None if one.axis is None else one.axis - 1) for one in given[states:]
    ]
    inner = _Walk(
        Graph(body.nodes, body.initializers, body.inputs, body.outputs, walk.graph.functions),
        {**walk.values, **body.initializers},
        walk.symbols,
    )
    inner.values.update(zip(body.inputs, begin, strict=True))
    for step in body.nodes:
        inner.values.update((name, one) for name, one in _outputs(inner, step) if name)
    made = [inner.values.get(name) for name in body.outputs]
    results: list[Tensor] = []
    for i, one in enumerate(made):
        if one is None or isinstance(one, NotProven) or one.pad is not None or one.counts_rows:
            return None
        if i < states:
            if (one.shape, one.axis) != (begin[i].shape, begin[i].axis):
                return None
            results.append(begin[i])
        elif one.shape is None:
            results.append(Tensor())
        else:
            axis = None if one.axis is None else one.axis + 1
            results.append(Tensor((walk.fresh(), *one.shape), axis))
    return results


def _of_constants(walk: _Walk, node: Node, arguments: Sequence[Tensor | None]) -> list[Tensor]:
    """The same in all runs, whatever else is known of it."""
    try:
        results = _by_rule(walk, node, arguments)
    except (NotProven, KeyError):
        results = []
    return [*results, *[Tensor()] * (len(node.outputs) - len(results))]


def _by_rule(walk: _Walk, node: Node, arguments: Sequence[Tensor | None]) -> list[Tensor]:
    if any(one and one.pad is not None for one in arguments) and node.operator not in TAKE_PADDED:
        raise NotProven("it sees how long the texts of other rows are")
    counted = SHAPE_OPERAND.get(node.operator, -1)
    counts = any(one and one.counts_rows for i, one in enumerate(arguments) if i != counted)
    try:
        how = None if node.domain else NUMBERS.get(node.operator)
        numbers = None if how is None else how(node, arguments, walk.fresh)
        if counts and numbers is None and node.operator not in {"Shape", "Size"}:
            raise NotProven("it computes with the number of rows")
        results = RULES[node.domain, node.operator](node, arguments, walk.fresh)
    except RowsCoupled:
        raise
    except NotProven as doubt:
        if counts and not node.domain and node.operator in COMPARISONS:
            raise RowsCoupled("it compares the number of rows") from doubt
        raise
    except (IndexError, ValueError, TypeError) as error:
        raise NotProven("it is not of the form that is looked at") from error
    if numbers is not None and results[0].axis is None:
        results[0] = Tensor(results[0].shape, None, numbers)
    for one in results:
        _check(one)
    return results


def _check(tensor: Tensor) -> None:
    """Make sure that the number of rows stands in a shape only once, and where the rows are."""
    shape: Shape = tensor.shape or ()
    for axis, size in enumerate(shape):
        if size.counts_rows != (axis == tensor.axis) or (
            axis == tensor.axis and not size.rows_once
        ):
            raise NotProven("the number of rows stands elsewhere in the shape of its result")
