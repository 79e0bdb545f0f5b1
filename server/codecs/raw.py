"""Tensors as raw bytes: little-endian, row-major, no padding.

BYTES elements have a length of four bytes before each of them.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import numpy as np

from penstock.server.errors import InvalidRequest

from .bfloat16 import BF16, widened
from .tensors import check_texts, objects

if TYPE_CHECKING:
    from penstock.runtimes.contract import Array

    from .signature import WireInput

#: Tensors from this size on are sent as views of the model's own output.
MIN_VIEW_BYTES: Final = 16_384

_LENGTH: Final = struct.Struct("<I")
_ndarray = np.ndarray


def from_raw(raw: bytes | memoryview, spec: WireInput, shape: list[int], size: int) -> Array:
    """A tensor over bytes of the body, copied only if they are not aligned to its elements.

    Args:
        raw: The tensor's bytes and nothing else.
        spec: The input it is for.
        shape: Dimensions, already checked against ``spec``.
        size: Their product.

    Raises:
        InvalidRequest: The number of bytes is not what the shape needs.
    """
    dtype = spec.dtype
    if len(raw) != size * dtype.itemsize and not spec.is_bytes:
        raise InvalidRequest(
            f"input '{spec.name}': {spec.datatype} of shape {shape} takes "
            f"{size * dtype.itemsize} bytes, got {len(raw)}"
        )
    if spec.code:
        array: Array = _ndarray(shape, dtype, raw)
        if type(raw) is bytes or array.flags.aligned:
            return array
        # numpy would copy what is not aligned element by element, which takes ten times as long.
        # It copies bytes without the interpreter lock.
        aligned = np.frombuffer(raw, np.uint8).copy()
        aligned.flags.writeable = False
        return _ndarray(shape, dtype, aligned.data)
    if spec.is_bytes:
        return _from_elements(raw, spec, shape, size)
    if spec.datatype == BF16:
        return widened(raw, shape)
    # numpy requires 0 and 1; any other byte is true, as in C.
    return _ndarray(shape, np.uint8, raw).astype(np.bool_)


def _from_elements(raw: bytes | memoryview, spec: WireInput, shape: list[int], size: int) -> Array:
    check_texts(spec, size)
    elements: list[bytes] = []
    position = 0
    end = len(raw)
    while position + 4 <= end and len(elements) < size:
        (length,) = _LENGTH.unpack_from(raw, position)
        position += 4 + length
        if position > end:
            break
        elements.append(bytes(raw[position - length : position]))
    if position != end or len(elements) != size:
        raise InvalidRequest(
            f"input '{spec.name}': shape {shape} takes {size} elements, each after its length in "
            f"4 bytes; the {end} bytes given hold another number"
        )
    return objects(elements, shape)


def to_raw(array: Array) -> bytes | memoryview:
    """The bytes of a tensor; a view of large ones, which stay alive as long as the view."""
    if array.dtype == np.object_:
        elements = [e.encode() if type(e) is str else e for e in array.ravel().tolist()]
        return b"".join([part for e in elements for part in (_LENGTH.pack(len(e)), e)])
    if array.nbytes < MIN_VIEW_BYTES:
        return array.tobytes()
    return array.ravel().view(np.uint8).data
