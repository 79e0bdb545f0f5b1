"""Lists of JSON or msgpack values to tensors.

`struct` does the work: one call in C checks type and range of every element and converts it, three
times faster than ``numpy.array`` and without its leniency (numpy reads ``"1.5"`` as 1.5). Only
when it refuses does Python look at single elements, to convert what is harmless (``1.0`` for an
integer, ``null`` for NaN) or to name the culprit.
"""

from __future__ import annotations

import math
import struct
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.server.errors import BodyTooLarge, InvalidRequest

from .bfloat16 import BF16

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.runtimes.contract import Array

    from .signature import WireInput

#: Elements of a BYTES tensor that does not come as JSON: each is an object of its own.
MAX_TEXTS: Final = 1 << 19

#: Longest piece of a client's value shown back in an error.
MAX_SHOWN = 40

#: Dimensions of rows of features.
_TABLE: Final = 2

_ndarray = np.ndarray
#: What `packer` raises for elements that are not, or do not fit, what it packs.
UNPACKABLE: Final = (struct.error, OverflowError, TypeError)


@lru_cache(maxsize=512)
def packer(code: str, count: int) -> Callable[..., bytes]:
    """Turns so many numbers into little-endian bytes; checks type and range of each."""
    return struct.Struct(f"<{count}{code}").pack


def from_list(
    data: list[Any], spec: WireInput, shape: list[int], size: int, first: int = 0
) -> Array:
    """A flat row-major list, or one nested as ``shape`` says, as an array of that shape.

    Args:
        data: Decoded elements.
        spec: The input they are for.
        shape: Dimensions, already checked against ``spec``.
        size: Their product.
        first: Number of the first of these elements in the input, for errors.

    Raises:
        InvalidRequest: Wrong nesting, wrong number of elements, an element of the wrong type or
            out of the datatype's range.
    """
    if len(data) == size and (not size or type(data[0]) is not list):
        leaves = data
    elif len(data) == 1 and len(shape) == _TABLE and type(data[0]) is list and len(data[0]) == size:
        leaves = data[0]
    else:
        leaves = _unnest(data, spec, shape, size)
    if spec.code:
        pack = spec.pack if size == spec.tail_size else packer(spec.code, size)
        try:
            packed = pack(*leaves)
        except UNPACKABLE:
            packed = _pack_leniently(leaves, spec, size, first)
        return _ndarray(shape, spec.dtype, packed)
    if spec.datatype == "BOOL":
        return _ndarray(shape, spec.dtype, _pack_bools(leaves, spec, first))
    if spec.datatype == BF16:
        raise InvalidRequest(
            f"input '{spec.name}': BF16 is taken as raw bytes only; send binary data, or FP32"
        )
    return objects(_byte_strings(leaves, spec, first), shape)


def objects(elements: list[bytes], shape: list[int]) -> Array:
    """BYTES elements as the object array that runtimes take."""
    array = np.empty(len(elements), np.object_)
    array[:] = elements
    return array.reshape(shape)


def check_texts(spec: WireInput, size: int) -> None:
    """Whether so many elements may be made into objects, if that is what the input takes.

    Raises:
        BodyTooLarge: They are too many.
    """
    if spec.is_bytes and size > MAX_TEXTS:
        raise BodyTooLarge(
            f"input '{spec.name}' has {size} elements of BYTES; at most {MAX_TEXTS} are taken in "
            "one request"
        )


def _unnest(data: list[Any], spec: WireInput, shape: list[int], size: int) -> list[Any]:
    if size and data and type(data[0]) is not list:
        raise InvalidRequest(
            f"input '{spec.name}': shape {shape} needs {size} elements, data has {len(data)}"
        )
    level: list[Any] = [data]
    for depth, dimension in enumerate(shape):
        # A level that is not regular is found by two passes in C.
        if set(map(type, level)) - {list} or set(map(len, level)) - {dimension}:
            raise InvalidRequest(_irregular(level, spec, shape, depth))
        level = level[0] if len(level) == 1 else list(chain.from_iterable(level))
    return level


def _irregular(level: list[Any], spec: WireInput, shape: list[int], depth: int) -> str:
    expected = shape[depth]
    for branch in level:
        if type(branch) is not list:
            return (
                f"input '{spec.name}': data must be a flat list or lists nested {len(shape)} deep "
                f"as shape {shape} says; found {show(branch)} at depth {depth}"
            )
        if len(branch) != expected:
            return (
                f"input '{spec.name}': a list at depth {depth + 1} has {len(branch)} elements, "
                f"shape {shape} says {expected}"
            )
    raise AssertionError(level)


def _pack_leniently(leaves: list[Any], spec: WireInput, size: int, first: int) -> bytes:
    kept = leaves
    if spec.dtype.kind == "f":
        kept = [math.nan if leaf is None else leaf for leaf in leaves]
    else:
        kept = [int(x) if type(x) is float and x.is_integer() else x for x in leaves]
    try:
        return packer(spec.code, size)(*kept)
    except UNPACKABLE:
        pack = packer(spec.code, 1)
    for index, leaf in enumerate(kept):
        try:
            pack(leaf)
        except UNPACKABLE:
            raise InvalidRequest(_unfit(leaves[index], first + index, spec)) from None
    raise AssertionError(leaves)


def _unfit(leaf: Any, index: int, spec: WireInput) -> str:
    where = f"input '{spec.name}': element {index} is {show(leaf)}"
    if spec.dtype.kind == "f":
        if isinstance(leaf, (int, float)):
            return f"{where}, outside the range of {spec.datatype}"
        return f"{where}; {spec.datatype} takes numbers, and null for NaN"
    limits = np.iinfo(str(spec.dtype))
    return f"{where}; {spec.datatype} takes integers from {limits.min} to {limits.max}"


def _pack_bools(leaves: list[Any], spec: WireInput, first: int) -> bytes:
    try:
        packed = bytes(leaves)
    except (TypeError, ValueError):
        packed = b"\2"
    if packed.translate(None, b"\0\1"):
        for index, leaf in enumerate(leaves):
            if type(leaf) not in (bool, int) or leaf not in (0, 1):
                raise InvalidRequest(
                    f"input '{spec.name}': element {first + index} is {show(leaf)}; "
                    "BOOL takes true and false (or 1 and 0)"
                )
    return packed


def _byte_strings(leaves: list[Any], spec: WireInput, first: int) -> list[bytes]:
    try:
        return [leaf if type(leaf) is bytes else leaf.encode() for leaf in leaves]
    except (AttributeError, UnicodeEncodeError):
        index, leaf = next((i, x) for i, x in enumerate(leaves) if type(x) not in (str, bytes))
        raise InvalidRequest(
            f"input '{spec.name}': element {first + index} is {show(leaf)}; BYTES takes strings"
        ) from None


def show(value: Any) -> str:
    """A client's value as it appears in an error: short, and as JSON spells it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "an object"
    text = repr(value[:MAX_SHOWN] if isinstance(value, (str, bytes)) else value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
