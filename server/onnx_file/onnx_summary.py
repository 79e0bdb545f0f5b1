"""What is known of a model file once its outline was read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .tensors import ExternalData


class Operator(NamedTuple):
    """What a node runs, or a function defines. The domain ``ai.onnx`` is written as ``""``."""

    domain: str
    name: str
    overload: str = ""


@dataclass(frozen=True, slots=True)
class SummaryLimits:
    """Bounds on a model file.

    Attributes:
        max_fields: Fields decoded one by one: bounds the time, at about 1 µs each.
        max_nodes: In all graphs and functions together.
        max_tensors: Wherever they are kept.
        max_depth: Of graphs within attributes of nodes.
        max_metadata_bytes: Of all key/value pairs together.
        max_tensor_bytes: One tensor in memory.
    """

    max_fields: int = 20_000_000
    max_nodes: int = 1_000_000
    max_tensors: int = 1_000_000
    max_depth: int = 16
    max_metadata_bytes: int = 1 << 20
    max_tensor_bytes: int = 1 << 35


@dataclass(slots=True)
class OnnxSummary:
    """Summary of a model file: operators, functions, tensors and metadata.

    Attributes:
        operators: Uses of each operator in the main graph and its subgraphs.
        functions: Uses of each operator in each function of the model.
        opsets: Domain -> version, as imported.
        external: Every tensor kept outside of the file.
        contexts: Files named by nodes that hold a graph compiled for an execution provider.
        metadata: The model's key/value pairs.
        tensor_bytes: Bytes of memory of all its tensors, the external ones included.
        tensors: Number of tensors.
        nodes: In all graphs and functions together, as written.
        has_graph: Whether there is a main graph.
    """

    operators: Counter[Operator] = field(default_factory=Counter)
    functions: dict[Operator, Counter[Operator]] = field(default_factory=dict)
    opsets: dict[str, int] = field(default_factory=dict)
    external: list[ExternalData] = field(default_factory=list)
    contexts: list[str] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    tensor_bytes: int = 0
    tensors: int = 0
    nodes: int = 0
    has_graph: bool = False
