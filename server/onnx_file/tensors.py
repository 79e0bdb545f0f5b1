"""The tensors kept in a model: how large they say they are, and where their data is.

Field numbers are those of ``TensorProto`` and ``SparseTensorProto`` in onnx.proto.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from penstock.server.files.refusal import ModelRefused

if TYPE_CHECKING:
    from penstock.runtimes.protobuf.reader import Field, ProtobufReader

_STRING: Final = 8

#: ``TensorProto.DataType`` -> bits of an element in memory.
BITS: Final = {
    **dict.fromkeys((22, 21, 23), 4),  # INT4, UINT4, FLOAT4E2M1
    **dict.fromkeys((25, 26), 2),  # UINT2, INT2
    **dict.fromkeys((27, 28), 6),  # FLOAT6E2M3, FLOAT6E3M2
    **dict.fromkeys((2, 3, 9, 17, 18, 19, 20, 24), 8),  # UINT8, INT8, BOOL, the FLOAT8 kinds
    **dict.fromkeys((4, 5, 10, 16), 16),  # UINT16, INT16, FLOAT16, BFLOAT16
    **dict.fromkeys((1, 6, 12), 32),  # FLOAT, INT32, UINT32
    **dict.fromkeys((7, 11, 13, 14), 64),  # INT64, DOUBLE, UINT64, COMPLEX64
    15: 128,  # COMPLEX128
    _STRING: 256,  # a std::string, the least that one takes
}
_BYTE_BITS: Final = 8

#: The densest packing in a field of its own: four 2-bit elements in a byte.
_ELEMENTS_PER_BYTE: Final = 4
_MAX_RANK: Final = 64
_MAX_TEXT_BYTES: Final = 4096
_MAX_DIMENSION: Final = (1 << 63) - 1
#: float_data, int32_data, string_data, int64_data, double_data, uint64_data
_DATA_FIELDS: Final = frozenset({4, 5, 6, 7, 10, 11})
_EXTERNAL_KEYS: Final = ("location", "offset", "length", "checksum", "basepath")


@dataclass(frozen=True, slots=True)
class ExternalData:
    """Where the data of a tensor is, outside the model file.

    Attributes:
        tensor: Name of the tensor.
        location: As written in the model; trusted by nobody yet.
        offset: In that file, in bytes.
        length: In bytes, from the shape if the model does not say.
    """

    tensor: str
    location: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class TensorSummary:
    """A tensor, without its data.

    Attributes:
        name: May be empty.
        kind: A ``TensorProto.DataType``.
        memory_bytes: Bytes of memory of its elements when loaded.
        external: Place of its data, if that is not in the model file.
    """

    name: str
    kind: int
    memory_bytes: int
    external: ExternalData | None


def read_tensor(wire: ProtobufReader, field: Field, max_bytes: int) -> TensorSummary:
    """Read a ``TensorProto`` without its data.

    Raises:
        ModelRefused: What it says of itself cannot be true, or is over `max_bytes`.
        WireError: It is no message.
    """
    name, kind, raw, external = "", 0, None, False
    dims: list[int] = []
    entries: list[tuple[str, str]] = []
    for part in wire.fields(field.start, field.end, _DATA_FIELDS):
        match part.number:
            case 1:
                dims += _dims(wire, part, len(dims))
            case 2:
                kind = part.value
            case 8:
                name = text(wire, part)
            case 9:
                raw = part.end - part.start
            case 13:
                entries.append(entry(wire, part, _MAX_TEXT_BYTES))
            case 14:
                external = part.value == 1
            case _:
                pass
    what = f"tensor {name!r}"
    memory = _memory_bytes(dims, kind, what, max_bytes)
    if external or entries:
        if raw is not None:
            raise ModelRefused(f"{what} has its data both inside and outside of the model file")
        return TensorSummary(name, kind, memory, _external(name, entries, memory))
    _check_held(what, dims, kind, memory, raw, field.end - field.start)
    return TensorSummary(name, kind, memory, None)


def read_sparse(wire: ProtobufReader, field: Field, max_bytes: int) -> list[TensorSummary]:
    """Read a ``SparseTensorProto``: its parts, and what it takes once made dense.

    Raises:
        ModelRefused: As `read_tensor`; a few bytes can stand for a dense tensor of any size.
        WireError: It is no message.
    """
    parts: list[TensorSummary] = []
    dims: list[int] = []
    for part in wire.fields(field.start, field.end):
        match part.number:
            case 1 | 2:
                parts.append(read_tensor(wire, part, max_bytes))
            case 3:
                dims += _dims(wire, part, len(dims))
            case _:
                pass
    kind = parts[0].kind if parts else 0
    dense = _memory_bytes(dims, kind, "a sparse tensor", max_bytes)
    return [*parts, TensorSummary("", kind, dense, None)]


def text(wire: ProtobufReader, field: Field, limit: int = _MAX_TEXT_BYTES) -> str:
    """A name.

    Raises:
        ModelRefused: It is not UTF-8.
        WireError: It is longer than the limit.
    """
    try:
        return wire.read(field, limit).decode()
    except UnicodeDecodeError:
        raise ModelRefused(f"the text at byte {field.start} is not UTF-8") from None


def entry(wire: ProtobufReader, field: Field, limit: int) -> tuple[str, str]:
    """Read a ``StringStringEntryProto``: key and value."""
    parts = {part.number: part for part in wire.fields(field.start, field.end)}
    key, value = parts.get(1), parts.get(2)
    return (
        "" if key is None else text(wire, key),
        "" if value is None else text(wire, value, limit),
    )


def _dims(wire: ProtobufReader, field: Field, before: int) -> list[int]:
    dims = []
    for size in wire.varints(field):
        dims.append(size)
        if before + len(dims) > _MAX_RANK:
            raise ModelRefused(f"a tensor has more than {_MAX_RANK} dimensions")
    return dims


def _memory_bytes(dims: list[int], kind: int, what: str, max_bytes: int) -> int:
    if kind not in BITS:
        raise ModelRefused(f"{what} has the unknown data type {kind}")
    if any(size > _MAX_DIMENSION for size in dims):
        raise ModelRefused(f"{what} has a negative dimension")
    memory = (math.prod(dims) * BITS[kind] + 7) // 8
    if memory > max_bytes:
        raise ModelRefused(
            f"{what} of shape {dims} would take {memory} bytes, at most {max_bytes} are allowed"
        )
    return memory


def _check_held(
    what: str, dims: list[int], kind: int, memory: int, raw: int | None, message: int
) -> None:
    """Whether the data can be in the model file: to the byte if raw, else by its size."""
    if raw is not None and kind != _STRING and _BYTE_BITS % BITS[kind] in {0, _BYTE_BITS}:
        held, fits = raw, raw == memory
    else:
        held = message
        fits = math.prod(dims) <= held * _ELEMENTS_PER_BYTE
    if not fits:
        raise ModelRefused(
            f"{what} of shape {dims} should take {memory} bytes, the model file holds {held}"
        )


def _external(tensor: str, entries: list[tuple[str, str]], memory: int) -> ExternalData:
    values = dict(entries)
    what = f"tensor {tensor!r}"
    if len(values) < len(entries):
        raise ModelRefused(f"{what} says twice where its data is")
    unknown = values.keys() - set(_EXTERNAL_KEYS)
    if unknown:
        raise ModelRefused(f"{what} has the unknown external data key {min(unknown)!r}")
    if "basepath" in values:
        raise ModelRefused(f"{what} names a base path of its own for its data")
    numbers = {key: values[key] for key in ("offset", "length") if key in values}
    for key, value in numbers.items():
        if not (value.isascii() and value.isdigit() and len(value) < len(str(_MAX_DIMENSION))):
            raise ModelRefused(f"{what} has the {key} {value!r}, expected a number of bytes")
    length = int(numbers.get("length", memory))
    if length != memory:
        raise ModelRefused(f"{what} takes {memory} bytes, its external data has {length}")
    return ExternalData(tensor, values.get("location", ""), int(numbers.get("offset", 0)), length)
