"""Reads a model file into a `Graph`: no onnx, no external data, bounded work.

Field numbers are those of onnx.proto.
"""

from __future__ import annotations

import math
import os
import struct
from typing import TYPE_CHECKING, Any, Final

from penstock.runtimes.protobuf.reader import LENGTH, ProtobufError, ProtobufReader

from .graph import UNREAD, Graph, Node
from .sizes import Size
from .tensor import NotProven, Tensor

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.runtimes.protobuf.reader import Field

    from .graph import DeclaredShape

#: Fields decoded one by one, at about 1 µs each. Lists of trees are passed over and cost none.
MAX_FIELDS: Final = 2_000_000
MAX_NODES: Final = 50_000
#: Integers kept of one tensor or attribute: axes, shapes and permutations are shorter.
MAX_NUMBERS: Final = 64
_MAX_TEXT_BYTES: Final = 4096
_MAX_BLOB_BYTES: Final = MAX_NUMBERS * 10
_SIGN: Final = 1 << 63
#: What is not imported is filled in by onnxruntime, with the newest set that it has.
_NEWEST_OPSET: Final = 1000
#: Field of an attribute's list of integers, and what its field for the kind says of it.
_INTEGERS: Final = 8
_KIND_INTEGERS: Final = 7
_KIND_INTEGER: Final = 2
#: The one list of texts that is read.
_WORDS: Final = "pool_strings"
#: Of an attribute: its lists of floats and texts.
_ATTRIBUTE_SKIM: Final = frozenset({7, 9})
_GRAPH_SKIM: Final = frozenset({13})
#: ``TensorProto.DataType`` whose elements are read -> `struct` character.
_CODES: Final = {6: "i", 7: "q", 1: "f", 9: "?", 2: "B"}
#: Which field holds the elements where they are not raw.
_TYPED_FIELD: Final = {6: 5, 7: 7, 1: 4, 9: 5, 2: 5}


def read_graph(path: Path) -> Graph:
    """Read the main graph of a model file.

    Raises:
        NotProven: It is larger or odder than what is read here.
        OSError: The file cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        return _Reader(ProtobufReader(descriptor, size, MAX_FIELDS)).model(size)
    except (ProtobufError, UnicodeDecodeError, struct.error) as error:
        raise NotProven(f"its graph could not be read: {error}") from error
    finally:
        os.close(descriptor)


def try_to_read(path: Path) -> Graph | str:
    """The main graph of a model file, or why it cannot be read here."""
    try:
        return read_graph(path)
    except (NotProven, OSError) as error:
        return str(error)


class _Reader:
    """One way through a file; every method reads one kind of message."""

    def __init__(self, wire: ProtobufReader, *, in_body: bool = False) -> None:
        self._reader = wire
        self._in_body = in_body
        self._nodes: list[Node] = []
        self._initializers: dict[str, Tensor] = {}
        self._inputs: dict[str, DeclaredShape] = {}
        self._outputs: dict[str, DeclaredShape] = {}

    def model(self, size: int) -> Graph:
        opsets: dict[str, int] = {}
        functions: set[tuple[str, str]] = set()
        graphs: list[Field] = []
        for part in self._reader.fields(0, size):
            if part.number == 7:  # noqa: PLR2004
                graphs.append(part)
            elif part.number == 8:  # noqa: PLR2004
                named = self._parts(part)
                opsets[self._domain(named.get(1))] = named[2].value if 2 in named else 0  # noqa: PLR2004
            elif part.number == 25:  # noqa: PLR2004
                named = self._parts(part)
                functions.add((self._domain(named.get(10)), self._text(named.get(1))))
        if len(graphs) != 1:
            raise NotProven("the file has not exactly one graph")
        self._graph(graphs[0], opsets)
        return self._read(frozenset(functions))

    def _read(self, functions: frozenset[tuple[str, str]] = frozenset()) -> Graph:
        """What was read."""
        nodes = tuple(self._nodes)
        return Graph(nodes, self._initializers, self._inputs, self._outputs, functions)

    def _graph(self, graph: Field, opsets: dict[str, int]) -> None:
        for part in self._reader.fields(graph.start, graph.end, _GRAPH_SKIM):
            match part.number:
                case 1:
                    self._nodes.append(self._node(part, opsets))
                    if len(self._nodes) > MAX_NODES:
                        raise NotProven(f"it has more than {MAX_NODES} nodes")
                case 5:
                    name, tensor = self._tensor(part)
                    self._initializers[name] = tensor
                case 11:
                    self._inputs.update([self._value(part)])
                case 12:
                    self._outputs.update([self._value(part)])
                case _:
                    pass

    def _node(self, node: Field, opsets: dict[str, int]) -> Node:
        inputs: list[str] = []
        outputs: list[str] = []
        attributes: list[Field] = []
        texts: dict[int, Field] = {}
        for part in self._reader.fields(node.start, node.end):
            match part.number:
                case 1:
                    inputs.append(self._text(part))
                case 2:
                    outputs.append(self._text(part))
                case 5:
                    attributes.append(part)
                case _:
                    texts[part.number] = part
        domain = self._domain(texts.get(7))
        operator = self._text(texts.get(4))
        read = dict(map(self._attribute, attributes))
        if (domain, operator) == ("", "Scan") and not self._in_body:
            read |= self._bodies(attributes, opsets)
        return Node(
            domain,
            operator,
            self._text(texts.get(3)),
            tuple(inputs),
            tuple(outputs),
            read,
            opsets.get(domain, _NEWEST_OPSET),
        )

    def _bodies(self, attributes: list[Field], opsets: dict[str, int]) -> dict[str, Graph]:
        """The graphs among the attributes of a node; those inside of them are not read."""
        found: dict[str, Graph] = {}
        for attribute in attributes:
            parts = self._parts(attribute)
            if 6 in parts:  # noqa: PLR2004
                reader = _Reader(self._reader, in_body=True)
                reader._graph(parts[6], opsets)
                found[self._text(parts.get(1))] = reader._read()
        return found

    def _attribute(self, attribute: Field) -> tuple[str, Any]:
        """Name and value; `UNREAD` for what is of no use here."""
        parts = {
            part.number: part
            for part in self._reader.fields(attribute.start, attribute.end, _ATTRIBUTE_SKIM)
            if part.number != _INTEGERS
        }
        name = self._text(parts.get(1))
        kind = parts[20].value if 20 in parts else 0  # noqa: PLR2004
        if name == _WORDS:
            return name, self._words(attribute)
        if 21 in parts:  # noqa: PLR2004  the attribute of a function that calls this one
            return name, UNREAD
        if kind == _KIND_INTEGERS:
            return name, self._integers(attribute)
        if kind == _KIND_INTEGER:  # a 0 may be left out
            return name, _signed(parts[3].value) if 3 in parts else 0  # noqa: PLR2004
        text = parts.get(4)
        if text is not None and text.end - text.start <= _MAX_TEXT_BYTES:
            return name, self._reader.read(text, _MAX_TEXT_BYTES)
        return name, self._tensor(parts[5])[1] if 5 in parts else UNREAD  # noqa: PLR2004

    def _integers(self, attribute: Field) -> Any:
        """A list of integers, `UNREAD` if it is long."""
        found: list[int] = []
        for part in self._reader.fields(attribute.start, attribute.end, _ATTRIBUTE_SKIM):
            if part.number != _INTEGERS:
                continue
            if part.end - part.start > _MAX_BLOB_BYTES or len(found) > MAX_NUMBERS:
                return UNREAD
            found += map(_signed, self._reader.varints(part))
        return found

    def _words(self, attribute: Field) -> frozenset[bytes]:
        parts = self._reader.fields(attribute.start, attribute.end)
        return frozenset(
            self._reader.read(part, _MAX_TEXT_BYTES)
            for part in parts
            if part.number == 9  # noqa: PLR2004
        )

    def _value(self, value: Field) -> tuple[str, DeclaredShape]:
        """Name and shape of a ``ValueInfoProto``."""
        parts = self._parts(value)
        shape = parts.get(2)  # TypeProto, its tensor_type, the shape in that
        for number in (1, 2):
            if shape is not None:
                shape = self._parts(shape).get(number)
        if shape is None:
            return self._text(parts.get(1)), None
        sizes: list[int | str] = []
        for part in self._reader.fields(shape.start, shape.end):
            size = self._parts(part)
            sizes.append(_signed(size[1].value) if 1 in size else self._text(size.get(2)))
        return self._text(parts.get(1)), tuple(sizes)

    def _tensor(self, tensor: Field) -> tuple[str, Tensor]:
        """Name of a ``TensorProto`` and what is known of it."""
        name, kind, external = "", 0, False
        dims: list[int] = []
        data: dict[int, list[Field]] = {}
        for part in self._reader.fields(tensor.start, tensor.end, frozenset({6, 10, 11})):
            match part.number:
                case 1:
                    dims += self._reader.varints(part)
                case 2:
                    kind = part.value
                case 8:
                    name = self._text(part)
                case 13 | 14:
                    external = True
                case _ if len(data.setdefault(part.number, [])) <= MAX_NUMBERS:
                    data[part.number].append(part)
                case _:
                    pass
        shape = tuple(map(Size, dims))
        count = 1
        for size in dims:
            count *= size
        if external or kind not in _CODES or count > MAX_NUMBERS or len(dims) > MAX_NUMBERS:
            return name, Tensor(shape)
        numbers = self._numbers(kind, data)
        known = len(numbers) == count
        return name, Tensor(shape, None, tuple(numbers) if known else None)

    def _numbers(self, kind: int, data: dict[int, list[Field]]) -> list[Size | None]:
        """The elements; other than ``count`` of them if they cannot be read."""
        code = _CODES[kind]
        raw, typed = data.get(9, []), data.get(_TYPED_FIELD[kind], [])
        values: list[Any] = []
        if raw and not typed:
            content = self._reader.read(raw[-1], _MAX_BLOB_BYTES)
            values += (one for (one,) in struct.iter_unpack(f"<{code}", content))
        for part in typed:
            if kind != 1:
                values += map(_signed, self._reader.varints(part))
            elif part.kind == LENGTH:
                content = self._reader.read(part, _MAX_BLOB_BYTES)
                values += (one for (one,) in struct.iter_unpack("<f", content))
            else:
                values += (None,)
        return [_size(one) for one in values]

    def _parts(self, message: Field) -> dict[int, Field]:
        """The fields of a message, of each number the last."""
        if message.kind != LENGTH:
            raise ProtobufError(f"the field at byte {message.start} is no message")
        return {part.number: part for part in self._reader.fields(message.start, message.end)}

    def _text(self, field: Field | None) -> str:
        return "" if field is None else self._reader.read(field, _MAX_TEXT_BYTES).decode()

    def _domain(self, field: Field | None) -> str:
        domain = self._text(field)
        return "" if domain == "ai.onnx" else domain


def _signed(value: int) -> int:
    """A varint as the int64 that it stands for."""
    return value - (1 << 64) if value >= _SIGN else value


def _size(value: float | None) -> Size | None:
    """A number as a size; ``None`` if it is no whole number."""
    whole = value is not None and math.isfinite(value) and value == math.floor(value)
    return Size(int(value)) if value is not None and whole else None
