"""A model's main graph, as far as the proof needs it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from .tensor import NotProven

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .tensor import Tensor

#: A shape as the file declares it, ``None`` for unknown rank; a size is a number or the symbol's
#: name, which may be empty.
DeclaredShape = tuple[int | str, ...] | None

#: An attribute whose value is not read: a tensor, a graph, a long list.
UNREAD: Final = object()


@dataclass(frozen=True, slots=True)
class Node:
    """One node.

    Attributes:
        domain: ``""`` for ai.onnx.
        operator: Name of the operator.
        name: Name of the node; may be empty.
        inputs: Names of values, empty where one is left out.
        outputs: Likewise.
        attributes: Integers, lists of integers, texts (bytes), `Tensor` of a constant, the
            `Graph` of a Scan, `UNREAD`.
        opset: Version of its domain's operator set.
    """

    domain: str
    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    opset: int = 0

    def integer(self, name: str, default: int) -> int:
        """An integer attribute.

        Raises:
            NotProven: It is there and is no integer.
        """
        value = self.attributes.get(name, default)
        if not isinstance(value, int):
            raise NotProven(f"its attribute {name} was not read")
        return value

    def integers(self, name: str) -> list[int] | None:
        """A list of integers, ``None`` if it is left out; raises as `integer`."""
        value = self.attributes.get(name)
        if value is None or isinstance(value, list):
            return value
        raise NotProven(f"its attribute {name} was not read")

    def __str__(self) -> str:
        output = next((name for name in self.outputs if name), "")
        return f"{self.operator} at node {self.name or output!r}"


@dataclass(frozen=True, slots=True)
class Graph:
    """The main graph of a model.

    Attributes:
        nodes: In the order of the file, which is that of computation.
        initializers: Constants, with small integers read.
        inputs: Declared shapes of the graph's inputs.
        outputs: The same of the graph's outputs.
        functions: Domain and name of each function that the model defines itself.
    """

    nodes: tuple[Node, ...]
    initializers: Mapping[str, Tensor]
    inputs: Mapping[str, DeclaredShape]
    outputs: Mapping[str, DeclaredShape]
    functions: frozenset[tuple[str, str]] = frozenset()
