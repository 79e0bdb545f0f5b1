"""Tensors in a piece of memory, and the numbers that say where each of them lies.

A tensor is described by whole numbers: its datatype, where its bytes begin and how many there are,
the number of its dimensions, and each dimension. Texts lie as their lengths (64 bits each) followed
by their bytes. What the other process says of its tensors is checked before it is used.

This module is used by the child, too: it imports numpy and the datatypes only.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.runtimes.datatypes import NUMPY_OF

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.runtimes.contract import Array

#: Each tensor begins at a multiple of this, as vector instructions like it.
_ALIGNMENT: Final = 64
_TYPES: Final = tuple(NUMPY_OF.values())
_NUMBER_OF: Final = {dtype: number for number, dtype in enumerate(_TYPES)}
_TEXT: Final = _NUMBER_OF[NUMPY_OF["BYTES"]]
#: In place of a datatype: an input that was left out.
_ABSENT: Final = -1
_MAX_DIMENSIONS: Final = 64
_LENGTH_BYTES: Final = 8


class BadTensors(Exception):
    """The numbers describe no tensors of this memory."""


def pack_tensors(arrays: Sequence[Array | None]) -> tuple[list[int], list[Any], int]:
    """Lay tensors out.

    Args:
        arrays: Of datatypes of the protocol, in the machine's byte order.

    Returns:
        Their numbers; pairs of the begin and the bytes, or the array, that belong there; and the
        size of it all.
    """
    numbers: list[int] = []
    pieces: list[Any] = []
    end = 0
    for array in arrays:
        if array is None:
            numbers.append(_ABSENT)
            continue
        kind = _NUMBER_OF[array.dtype]
        if kind == _TEXT:
            texts = array.ravel().tolist()
            content: Any = np.fromiter(map(len, texts), np.int64, len(texts)).tobytes()
            content += b"".join(texts)
            size = len(content)
        else:
            content, size = array, array.nbytes
        numbers += (kind, end, size, array.ndim, *array.shape)
        pieces.append((end, content))
        end += -(-size // _ALIGNMENT) * _ALIGNMENT
    return numbers, pieces, end


def put_tensors(memory: memoryview, pieces: Sequence[Any]) -> None:
    """Write what `pack_tensors` laid out; the memory has room for it."""
    for begin, content in pieces:
        if isinstance(content, bytes):
            memory[begin : begin + len(content)] = content
        elif content.nbytes:
            place: Array = np.frombuffer(memory, content.dtype, content.size, begin)
            place.reshape(content.shape)[...] = content


def find_tensors(memory: memoryview, numbers: Sequence[int]) -> list[Array | None]:
    """The tensors that lie in a memory: those of numbers as views of it, texts as copies.

    Args:
        memory: All of it.
        numbers: As `pack_tensors` made them; they may be wrong.

    Raises:
        BadTensors: They are wrong.
    """
    found: list[Array | None] = []
    at, count = 0, len(numbers)
    while at < count:
        kind = numbers[at]
        if kind == _ABSENT:
            found.append(None)
            at += 1
            continue
        if at + 4 > count or not 0 <= kind < len(_TYPES):
            raise BadTensors(f"{kind} is no datatype, or its tensor has no size")
        _, begin, size, dimensions = numbers[at : at + 4]
        at += 4 + dimensions
        if not 0 <= dimensions <= _MAX_DIMENSIONS or at > count:
            raise BadTensors(f"a tensor has {dimensions} dimensions, and fewer sizes")
        shape = tuple(numbers[at - dimensions : at])
        if any(one < 0 for one in shape) or not (
            begin >= 0 and size >= 0 and begin + size <= len(memory)
        ):
            raise BadTensors(f"a tensor of shape {shape} lies outside of the memory")
        place = memory[begin : begin + size]
        found.append(_texts(place, shape) if kind == _TEXT else _array(place, kind, shape))
    return found


def _array(place: memoryview, kind: int, shape: tuple[int, ...]) -> Array:
    dtype = _TYPES[kind]
    if prod(shape) * dtype.itemsize != len(place):
        raise BadTensors(f"{len(place)} bytes are no tensor of shape {shape}")
    return np.frombuffer(place, dtype).reshape(shape)


def _texts(place: memoryview, shape: tuple[int, ...]) -> Array:
    content = bytes(place)  # once: the other process may change it
    elements = prod(shape)
    if elements * _LENGTH_BYTES > len(content):
        raise BadTensors(f"{len(content)} bytes are no {elements} texts")
    lengths = np.frombuffer(content, np.int64, elements)
    first = elements * _LENGTH_BYTES
    if elements and (lengths.min() < 0 or lengths.max() > len(content)):
        raise BadTensors("a text has no length that fits")
    if int(lengths.sum()) != len(content) - first:
        raise BadTensors("texts and their lengths do not fit together")
    array = np.empty(elements, object)
    at = first
    for number, length in enumerate(lengths.tolist()):
        array[number] = content[at : at + length]
        at += length
    return array.reshape(shape)
