"""A loaded ONNX model: one onnxruntime session shared by all execution threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from .contract import ModelExecutionError, ResourcesExhausted, UnsuitableInput
from .onnx_errors import explain, is_exhaustion
from .onnx_symbols import NO_SYMBOLS
from .onnx_values import encode_strings, session_feed, zipmap_matrix

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .contract import Array, Signature
    from .onnx_symbols import SharedSymbols


class OnnxModel:
    """Implements `penstock.runtimes.contract.Model` on an ``onnxruntime.InferenceSession``.

    A session's ``run`` is thread-safe, releases the GIL, and gives fresh C-contiguous arrays.

    Attributes:
        signature: Inputs, outputs and batch axis.
        metadata: Key/value pairs that describe it.
    """

    __slots__ = (
        "_encoded_outputs",
        "_input_names",
        "_plain_inputs",
        "_plain_outputs",
        "_run",
        "_symbols",
        "_zipmap_classes",
        "metadata",
        "signature",
    )

    def __init__(
        self,
        session: Any,
        signature: Signature,
        metadata: Mapping[str, str],
        zipmap_classes: Mapping[str, int],
        symbols: SharedSymbols = NO_SYMBOLS,
    ) -> None:
        """Wrap a session.

        Args:
            session: An ``onnxruntime.InferenceSession``.
            signature: Signature of the model, as `penstock.runtimes.onnx_signature` reads it.
            metadata: Key/value pairs that describe it.
            zipmap_classes: ZipMap outputs, with their number of classes (0 if unknown).
            symbols: Names that several dimensions of its inputs share.
        """
        self.signature = signature
        self.metadata = metadata
        self._symbols = symbols
        self._input_names = tuple(spec.name for spec in signature.inputs)
        self._zipmap_classes = zipmap_classes
        self._encoded_outputs = frozenset(
            spec.name for spec in signature.outputs if spec.datatype == "BYTES"
        )
        # Most models need no conversion; deciding that here keeps two loops out of every run.
        self._plain_inputs = not any(
            spec.optional or spec.datatype == "BYTES" for spec in signature.inputs
        )
        self._run = _plain_run(session) if self._plain_inputs else session.run
        self._plain_outputs = not (self._encoded_outputs or zipmap_classes)

    def execute(self, inputs: Sequence[Array | None], outputs: Sequence[str]) -> list[Array]:
        """Run the session once; see `penstock.runtimes.contract.Model.execute`."""
        if not outputs:  # onnxruntime would take this for "all"
            return []
        if self._plain_inputs:
            # Not strict, which costs as much again.
            feed: dict[str, Any] = dict(zip(self._input_names, inputs, strict=False))
            if len(feed) < len(self._input_names):
                missing = list(self._input_names[len(feed) :])
                raise ModelExecutionError(f"required inputs ({missing}) are missing")
        else:
            feed = session_feed(self.signature.inputs, inputs)
        try:
            values: list[Array] = self._run(outputs, feed, None)
        except Exception as error:  # its exceptions share no base class
            raise self._failure(error, inputs) from error
        return values if self._plain_outputs else self._collect(outputs, values)

    def _failure(self, error: Exception, inputs: Sequence[Array | None]) -> ModelExecutionError:
        """What a failed run is, as far as the inputs and the message tell."""
        if isinstance(error, ModelExecutionError):
            return error
        message = explain(error)
        if is_exhaustion(message):
            return ResourcesExhausted(message)
        differing = self._symbols.disagreement(inputs)
        return UnsuitableInput(differing) if differing else ModelExecutionError(message)

    def unload(self) -> None:
        """Drop the session; a run still going on in another thread finishes first."""
        self._run = _refuse

    def _collect(self, outputs: Sequence[str], values: Sequence[Any]) -> list[Array]:
        arrays: list[Array] = []
        for name, value in zip(outputs, values, strict=True):
            if name in self._encoded_outputs:
                arrays.append(encode_strings(value))
            elif name in self._zipmap_classes:
                arrays.append(zipmap_matrix(name, value, self._zipmap_classes[name]))
            else:
                arrays.append(value)
        return arrays


def _plain_run(session: Any) -> Any:
    """``session.run`` without its checks in Python, a sixth of a small model's time.

    They are for graph capture on WebGPU, and for missing inputs, which `OnnxModel.execute` sees.
    """
    inner = getattr(session, "_sess", None)
    return getattr(inner, "run", session.run)


def _refuse(_outputs: Sequence[str], _feed: Mapping[str, Any], _options: None) -> NoReturn:
    raise ModelExecutionError("the model is unloaded")
