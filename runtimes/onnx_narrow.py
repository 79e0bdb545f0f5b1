"""Tensors of types that numpy does not have: bfloat16, float8 and 4-bit integers.

They are served as the next wider type that numpy has, which holds each of their values exactly:
FP32, INT8 or UINT8. An input is rounded to the narrow type as ONNX's ``Cast`` does it: to the
nearest value, ties to even, and values beyond the range to the largest; infinity stays what it is
if the type has it. Whole numbers that do not fit are refused. onnxruntime's Python interface
converts none of these types; so this module reads and writes the memory of its tensors.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .contract import ModelLoadError, UnsuitableInput
from .onnx_session import SessionWrapper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .contract import Array

_HOST: Final = ("cpu", 0)
_NIBBLE: Final = 0x0F
#: The one type of 8 bits that has infinities.
_INFINITE: Final = "float8_e5m2"


@dataclass(frozen=True, slots=True)
class Narrow:
    """A narrow type.

    Attributes:
        element: Number of the type in ONNX.
        datatype: The OIP v2 datatype that it is served as.
        name: Name of the type in ml_dtypes; empty for 4-bit integers, two of which are in a byte.
    """

    element: int
    datatype: str
    name: str = ""


#: By the type of a tensor, as onnxruntime writes it.
NARROW: Final[Mapping[str, Narrow]] = {
    "tensor(bfloat16)": Narrow(16, "FP32", "bfloat16"),
    "tensor(float8e4m3fn)": Narrow(17, "FP32", "float8_e4m3fn"),
    "tensor(float8e4m3fnuz)": Narrow(18, "FP32", "float8_e4m3fnuz"),
    "tensor(float8e5m2)": Narrow(19, "FP32", "float8_e5m2"),
    "tensor(float8e5m2fnuz)": Narrow(20, "FP32", "float8_e5m2fnuz"),
    "tensor(uint4)": Narrow(21, "UINT8"),
    "tensor(int4)": Narrow(22, "INT8"),
}


class NarrowSession(SessionWrapper):
    """An ``onnxruntime.InferenceSession`` with narrow tensors, which takes and gives wider ones."""

    def __init__(self, session: Any) -> None:
        super().__init__(session)
        nodes = (*session.get_inputs(), *session.get_overridable_initializers())
        self._inputs = {node.name: node for node in nodes}
        self._outputs = {node.name: node for node in session.get_outputs()}

    def run(
        self, outputs: Sequence[str] | None, feed: Mapping[str, Array], _options: None = None
    ) -> list[Any]:
        """As ``InferenceSession.run``.

        Raises:
            UnsuitableInput: A whole number does not fit into 4 bits.
        """
        names = list(self._outputs) if outputs is None else list(outputs)
        given = {name: _tensor(name, array, self._inputs[name]) for name, array in feed.items()}
        values = self._session.run_with_ort_values(names, given)
        return [
            _widened(value, NARROW.get(self._outputs[name].type))
            for name, value in zip(names, values, strict=True)
        ]


def with_narrow_types(session: Any) -> Any:
    """The session, or one that converts its narrow tensors.

    Raises:
        ModelLoadError: The library for a narrow type is not installed.
    """
    nodes = (
        *session.get_inputs(),
        *session.get_overridable_initializers(),
        *session.get_outputs(),
    )
    kinds = [NARROW[node.type] for node in nodes if node.type in NARROW]
    if not kinds:
        return session
    for kind in kinds:
        if kind.name:
            _dtype(kind)
    return NarrowSession(session)


def narrow_remarks(nodes: Sequence[Any]) -> tuple[str, ...]:
    """For people, how inputs and outputs of narrow types are served."""
    return tuple(
        f"'{node.name}' is of type {node.type}; it is served as {NARROW[node.type].datatype}"
        for node in nodes
        if node.type in NARROW
    )


def _dtype(kind: Narrow) -> np.dtype[Any]:
    try:
        import ml_dtypes
    except ImportError as error:
        raise ModelLoadError(
            f"it has a tensor of type {kind.name}, and ml_dtypes is not installed: "
            "pip install 'penstock-server[onnx-types]'"
        ) from error
    dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, kind.name))
    return dtype


def _tensor(name: str, array: Array, node: Any) -> Any:
    """The tensor of onnxruntime for an input."""
    from .telemetry import import_onnxruntime

    make = import_onnxruntime().OrtValue
    kind = NARROW.get(node.type)
    if kind is None:
        return make.ortvalue_from_numpy(np.ascontiguousarray(array), *_HOST)
    raw = _packed(name, array, kind) if not kind.name else _rounded(array, _dtype(kind))
    value = make.ortvalue_from_shape_and_type(array.shape, kind.element, *_HOST)
    if raw.size:
        ctypes.memmove(value.data_ptr(), raw.ctypes.data, raw.nbytes)
    return value


def _rounded(array: Array, dtype: np.dtype[Any]) -> Array:
    import ml_dtypes

    facts: Any = ml_dtypes
    most = float(facts.finfo(dtype).max)
    with np.errstate(all="ignore"):
        if dtype.itemsize == 1:  # bfloat16 has infinities, and Cast gives them
            held = np.clip(array, -most, most)
            array = np.where(np.isinf(array), array, held) if dtype.name == _INFINITE else held
        return np.ascontiguousarray(array.astype(dtype))


def _packed(name: str, array: Array, kind: Narrow) -> Array:
    low, high = (-8, 7) if kind.datatype == "INT8" else (0, 15)
    if array.size and (array.min() < low or array.max() > high):
        raise UnsuitableInput(
            f"input {name!r} has values from {array.min()} to {array.max()}; 4 bits hold {low} to "
            f"{high}"
        )
    nibbles = np.zeros(array.size + array.size % 2, np.uint8)
    nibbles[: array.size] = array.ravel().view(np.uint8) & _NIBBLE
    return nibbles[0::2] | (nibbles[1::2] << 4)


def _widened(value: Any, kind: Narrow | None) -> Any:
    """An output as an array of a type that numpy has; the tensor is copied."""
    if kind is None:
        return value.numpy()
    shape = tuple(value.shape())
    size = int(np.prod(shape, dtype=np.int64))
    if not kind.name:
        raw = _copied(value, (size + 1) // 2, np.dtype(np.uint8))
        nibbles = np.empty(2 * len(raw), np.uint8)
        nibbles[0::2], nibbles[1::2] = raw & _NIBBLE, raw >> 4
        numbers = nibbles[:size].astype(np.int8)
        if kind.datatype == "INT8":
            return np.where(numbers > 7, numbers - 16, numbers).astype(np.int8).reshape(shape)  # noqa: PLR2004  the largest
        return numbers.astype(np.uint8).reshape(shape)
    dtype = _dtype(kind)
    return _copied(value, size, dtype).astype(np.float32).reshape(shape)


def _copied(value: Any, size: int, dtype: np.dtype[Any]) -> Array:
    found = np.empty(size, dtype)
    if size:
        ctypes.memmove(found.ctypes.data, value.data_ptr(), found.nbytes)
    return found
