"""What an onnxruntime session takes and gives, in the words of the contract."""

from __future__ import annotations

from enum import Enum, auto
from typing import Any, Final

from .contract import VARIABLE, ModelLoadError, Signature, TensorSpec

#: Element types of ONNX tensors that numpy has too.
DATATYPE_OF_ONNX: Final = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}

#: What the operator ZipMap gives, with which skl2onnx ends every classifier unless told otherwise.
ZIPMAP_TYPES: Final = frozenset({"seq(map(int64,tensor(float)))", "seq(map(string,tensor(float)))"})


class BatchClaim(Enum):
    """What the declared shapes say about a common batch axis."""

    IMPOSSIBLE = auto()
    """Some tensor has no axis 0, or one of fixed size."""

    POSSIBLE = auto()
    """Every axis 0 is open; unnamed, or under several names (tf2onnx gives each its own)."""

    NAMED = auto()
    """Every axis 0 is open under one name."""


def is_zipmap(node: Any) -> bool:
    """Whether an output is a sequence of maps, presented as a tensor."""
    return node.type in ZIPMAP_TYPES


def read_signature(session: Any) -> Signature:
    """The signature of an ``onnxruntime.InferenceSession`` as declared, without a batch axis.

    Initializers that are graph inputs too (IR version 4 and later) may be overridden by a request:
    they come last, as optional inputs. A ZipMap output of ``n`` rows and ``k`` classes is an FP32
    tensor of shape ``(n, k)``. A tensor of unknown rank looks like a scalar.

    Raises:
        ModelLoadError: A tensor has a type that the protocol or numpy does not have.
    """
    required = [_spec(node, "input") for node in session.get_inputs()]
    optional = [
        _spec(node, "input", optional=True) for node in session.get_overridable_initializers()
    ]
    outputs = [
        TensorSpec(node.name, "FP32", (VARIABLE, VARIABLE))
        if is_zipmap(node)
        else _spec(node, "output")
        for node in session.get_outputs()
    ]
    return Signature((*required, *optional), tuple(outputs), batch_axis=False)


def batch_claim(session: Any, signature: Signature) -> BatchClaim:
    """Compare axis 0 of the required inputs and all outputs.

    Args:
        session: Knows the names of open dimensions.
        signature: Of the session; its outputs may be completed by observation.
    """
    required = [spec for spec in signature.inputs if not spec.optional]
    shapes = [spec.shape for spec in (*required, *signature.outputs)]
    if not required or any(shape[:1] != (VARIABLE,) for shape in shapes):
        return BatchClaim.IMPOSSIBLE
    # A ZipMap has no declared shape, and one map for each row: it agrees with whatever is said.
    nodes = (*session.get_inputs(), *session.get_outputs())
    names = {node.shape[0] for node in nodes if node.shape}
    return BatchClaim.NAMED if len(names) == 1 and None not in names else BatchClaim.POSSIBLE


def _open(dimension: int | str | None) -> bool:
    return not isinstance(dimension, int) or dimension < 0


def _spec(node: Any, kind: str, *, optional: bool = False) -> TensorSpec:
    datatype = DATATYPE_OF_ONNX.get(node.type)
    if datatype is None:
        raise ModelLoadError(
            f"{kind} {node.name!r} has type {node.type}, which cannot be served; supported: "
            f"{', '.join(DATATYPE_OF_ONNX)}"
            + ("" if kind == "input" else f", {', '.join(sorted(ZIPMAP_TYPES))}")
        )
    shape = tuple(VARIABLE if _open(dimension) else dimension for dimension in node.shape)
    return TensorSpec(node.name, datatype, shape, optional)
