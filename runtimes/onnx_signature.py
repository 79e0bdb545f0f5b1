"""What an onnxruntime session takes and gives, in the words of the contract."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from .contract import VARIABLE, ModelLoadError, Signature, TensorSpec
from .onnx_containers import container_remarks, element_type
from .onnx_narrow import NARROW, narrow_remarks
from .onnx_values import session_feed
from .synthetic import MAX_PROBE_ELEMENTS, PROBE_SIZES, made_up_elements, synthetic_inputs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.runtimes.row_proof.graph import Graph

#: Element types of ONNX tensors, and how they are served.
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
    **{kind: narrow.datatype for kind, narrow in NARROW.items()},
}

#: What the operator ZipMap gives, with which skl2onnx ends every classifier unless told otherwise.
ZIPMAP_TYPES: Final = frozenset({"seq(map(int64,tensor(float)))", "seq(map(string,tensor(float)))"})

#: Ranks tried for an input that declares none.
_RANKS: Final = (2, 1, 3, 4)


def is_zipmap(node: Any) -> bool:
    """Whether an output is a sequence of maps, presented as a tensor."""
    return node.type in ZIPMAP_TYPES


def read_signature(session: Any) -> Signature:
    """The signature of an ``onnxruntime.InferenceSession`` as declared, without a rows axis.

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
    remarks = narrow_remarks(
        (
            *session.get_inputs(),
            *session.get_overridable_initializers(),
            *session.get_outputs(),
        )
    )
    remarks += container_remarks(session.get_outputs())
    return Signature((*required, *optional), tuple(outputs), batch_axis=False, remarks=remarks)


def with_ranks(session: Any, signature: Signature, graph: Graph | str) -> Signature:
    """The signature with a rank for inputs of which the file declares none.

    onnxruntime shows them like scalars. Such an input is served as a matrix of rows if the model
    takes one, else as the first of vector and higher ranks that it takes; a remark says so.

    Args:
        session: Takes inputs on trial.
        signature: As declared.
        graph: Graph of the model, which tells unknown rank from no dimension; or why it was not
            read.
    """
    if isinstance(graph, str) or all(spec.shape for spec in signature.inputs):
        return signature
    declared = graph.inputs
    unknown = [spec.name for spec in signature.inputs if declared.get(spec.name, ()) is None]
    for rank in _RANKS if unknown else ():
        inputs = tuple(
            replace(spec, shape=(VARIABLE,) * rank) if spec.name in unknown else spec
            for spec in signature.inputs
        )
        tried = replace(signature, inputs=inputs, rows_axis=True)
        for size in PROBE_SIZES:
            if made_up_elements(tried, 1, size) > MAX_PROBE_ELEMENTS:
                continue
            try:
                given = synthetic_inputs(tried, 1, variable=size)
                session.run(None, session_feed(inputs, given))
            except Exception:  # noqa: BLE001, S112  no common base class
                continue
            remarks = tuple(
                f"input '{name}' is declared without a rank; it is served as {[VARIABLE] * rank}"
                for name in unknown
            )
            return replace(signature, inputs=inputs, remarks=(*signature.remarks, *remarks))
    return signature


def with_open_rows(outputs: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """Outputs of a model with a rows axis: their axis 0 is open, whatever was declared."""
    return tuple(
        replace(spec, shape=(VARIABLE, *spec.shape[1:])) if spec.shape else spec for spec in outputs
    )


def _open(dimension: int | str | None) -> bool:
    return not isinstance(dimension, int) or dimension < 0


def _spec(node: Any, kind: str, *, optional: bool = False) -> TensorSpec:
    kind_of_elements = element_type(node.type) if kind == "output" else node.type
    datatype = DATATYPE_OF_ONNX.get(kind_of_elements)
    if node.type != kind_of_elements and kind_of_elements in NARROW:
        datatype = None
    if datatype is None:
        raise ModelLoadError(
            f"{kind} {node.name!r} has type {node.type}, which cannot be served; supported: "
            f"{', '.join(DATATYPE_OF_ONNX)}"
            + ("" if kind == "input" else f", {', '.join(sorted(ZIPMAP_TYPES))}")
        )
    shape = tuple(VARIABLE if _open(dimension) else dimension for dimension in node.shape)
    return TensorSpec(node.name, datatype, shape, optional)
