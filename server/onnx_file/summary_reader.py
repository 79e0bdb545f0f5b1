"""What a model file is made of, read without onnx, onnxruntime or its external data.

Everything that could lead a loader astray is found in any graph, subgraph, function or attribute,
wherever the writer hid it. Field numbers are those of onnx.proto.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from penstock.runtimes.protobuf.reader import ProtobufError, ProtobufReader
from penstock.server.files.refusal import ModelRefused

from .onnx_summary import OnnxSummary, Operator, SummaryLimits
from .tensors import entry, read_sparse, read_tensor, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.runtimes.protobuf.reader import Field

    from .tensors import TensorSummary

#: A node's inputs and outputs; an attribute's floats, ints and strings.
_NODE_SKIM: Final = frozenset({1, 2})
_ATTRIBUTE_SKIM: Final = frozenset({7, 8, 9})
#: Its tensor, graph and sparse tensor.
_ATTRIBUTE_ONCE: Final = frozenset({5, 6, 22})
#: Types of its inputs, outputs and intermediate values.
_GRAPH_SKIM: Final = frozenset({11, 12, 13})
_MAX_OPSETS: Final = 1000
_EMBED_MODE: Final = "embed_mode"
_CONTEXT: Final = "ep_cache_context"


def read_summary(descriptor: int, size: int, limits: SummaryLimits | None = None) -> OnnxSummary:
    """Read the outline of a model file.

    Args:
        descriptor: Descriptor of the file, open for reading.
        size: Size of the file, in bytes.
        limits: The defaults suit models of many gigabytes.

    Raises:
        ModelRefused: It is not an ONNX model, or over a limit; the message says where.
    """
    limits = limits or SummaryLimits()
    walk = _Walk(ProtobufReader(descriptor, size, limits.max_fields), limits)
    try:
        walk.model(size)
    except ProtobufError as error:
        raise ModelRefused(f"not an ONNX model: {error}") from error
    return walk.summary


class _Walk:
    """One way through a model file; every method reads one kind of message."""

    def __init__(self, wire: ProtobufReader, limits: SummaryLimits) -> None:
        self.summary = OnnxSummary()
        self._reader = wire
        self._limits = limits
        self._metadata_bytes = 0

    def model(self, size: int) -> None:
        summary = self.summary
        for part in self._once(0, size, frozenset({7}), "the model"):
            match part.number:
                case 7:
                    summary.has_graph = True
                    self._graph(part, summary.operators, 1)
                case 8:
                    self._opset(part)
                case 14:
                    self._metadata(part)
                case 20:
                    self._training(part)
                case 25:
                    self._function(part)
                case _:
                    pass
        if not (summary.has_graph and summary.opsets):
            missing = "operator set" if summary.has_graph else "graph"
            raise ProtobufError(
                f"there is no {missing} in it: cut short, or some other kind of file"
            )

    def _graph(self, graph: Field, operators: Counter[Operator], depth: int) -> None:
        if depth > self._limits.max_depth:
            raise ModelRefused(f"graphs within graphs are deeper than {self._limits.max_depth}")
        for part in self._reader.fields(graph.start, graph.end, _GRAPH_SKIM):
            match part.number:
                case 1:
                    self._node(part, operators, depth)
                case 5:
                    self._add(read_tensor(self._reader, part, self._limits.max_tensor_bytes))
                case 15:
                    self._sparse(part)
                case _:
                    pass

    def _function(self, function: Field) -> None:
        self._count_node()
        name = domain = overload = ""
        operators: Counter[Operator] = Counter()
        for part in self._reader.fields(function.start, function.end):
            match part.number:
                case 1:
                    name = text(self._reader, part)
                case 7:
                    self._node(part, operators, 1)
                case 10:
                    domain = text(self._reader, part)
                case 11:
                    self._attribute(part, operators, 1)
                case 13:
                    overload = text(self._reader, part)
                case _:
                    pass
        key = Operator(_plain(domain), name, overload)
        if key in self.summary.functions:
            raise ModelRefused(f"the function {name!r} of domain {domain!r} is defined twice")
        self.summary.functions[key] = operators

    def _node(self, node: Field, operators: Counter[Operator], depth: int) -> None:
        self._count_node()
        domain = name = overload = ""
        contexts: dict[str, Field] = {}
        for part in self._reader.fields(node.start, node.end, _NODE_SKIM):
            match part.number:
                case 4:
                    name = text(self._reader, part)
                case 5:
                    for key, content in self._attribute(part, operators, depth).items():
                        if contexts.setdefault(key, content) is not content:
                            raise ModelRefused(f"a node has the attribute {key} twice")
                case 7:
                    domain = text(self._reader, part)
                case 8:
                    overload = text(self._reader, part)
                case _:
                    pass
        operators[Operator(_plain(domain), name, overload)] += 1
        if name == "EPContext" and _CONTEXT in contexts:
            embedded = contexts.get(_EMBED_MODE)
            if embedded is not None and embedded.value != 1:  # else it is the graph itself
                self.summary.contexts.append(text(self._reader, contexts[_CONTEXT]))

    def _attribute(
        self, attribute: Field, operators: Counter[Operator], depth: int
    ) -> dict[str, Field]:
        """Returns the content of one that matters in an ``EPContext`` node, by name."""
        name, content, borrowed = "", None, False
        for part in self._once(
            attribute.start, attribute.end, _ATTRIBUTE_ONCE, "an attribute", _ATTRIBUTE_SKIM
        ):
            match part.number:
                case 1:
                    name = text(self._reader, part)
                case 3 | 4:
                    content = part
                case 5 | 10:
                    self._add(read_tensor(self._reader, part, self._limits.max_tensor_bytes))
                case 6 | 11:
                    self._graph(part, operators, depth + 1)
                case 21:
                    borrowed = True
                case 22 | 23:
                    self._sparse(part)
                case _:
                    pass
        if name not in {_CONTEXT, _EMBED_MODE}:
            return {}
        if borrowed or content is None:
            raise ModelRefused(f"the attribute {name} has no value of its own")
        return {name: content}

    def _sparse(self, part: Field) -> None:
        for tensor in read_sparse(self._reader, part, self._limits.max_tensor_bytes):
            self._add(tensor)

    def _add(self, tensor: TensorSummary) -> None:
        self.summary.tensor_bytes += tensor.memory_bytes
        self.summary.tensors += 1
        if self.summary.tensors > self._limits.max_tensors:
            raise ModelRefused(f"there are more than {self._limits.max_tensors} tensors")
        if tensor.external is not None:
            self.summary.external.append(tensor.external)

    def _count_node(self) -> None:
        self.summary.nodes += 1
        if self.summary.nodes > self._limits.max_nodes:
            raise ModelRefused(f"there are more than {self._limits.max_nodes} nodes")

    def _opset(self, opset: Field) -> None:
        domain, version = "", 0
        for part in self._reader.fields(opset.start, opset.end):
            match part.number:
                case 1:
                    domain = text(self._reader, part)
                case 2:
                    version = part.value
                case _:
                    pass
        self.summary.opsets[_plain(domain)] = version
        if len(self.summary.opsets) > _MAX_OPSETS:
            raise ModelRefused(f"there are more than {_MAX_OPSETS} operator sets")

    def _training(self, training: Field) -> None:
        """Nothing here runs it, but a parser builds it."""
        for part in self._reader.fields(training.start, training.end):
            if part.number in {1, 2}:
                self._graph(part, self.summary.operators, 1)

    def _metadata(self, part: Field) -> None:
        self._metadata_bytes += part.end - part.start
        if self._metadata_bytes > self._limits.max_metadata_bytes:
            limit = self._limits.max_metadata_bytes
            raise ModelRefused(f"its metadata is over {limit} bytes")
        key, value = entry(self._reader, part, self._limits.max_metadata_bytes)
        self.summary.metadata[key] = value

    def _once(
        self,
        start: int,
        end: int,
        single: frozenset[int],
        what: str,
        skim: frozenset[int] = frozenset(),
    ) -> Iterator[Field]:
        """The fields, of which some may come once only.

        A parser merges what comes twice: two harmless halves would make one that nobody looked at.
        """
        seen: set[int] = set()
        for part in self._reader.fields(start, end, skim):
            if part.number in single:
                if part.number in seen:
                    raise ModelRefused(f"{what} has field {part.number} twice")
                seen.add(part.number)
            yield part


def _plain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain
