"""Long JSON lists of numbers, read piece by piece.

Memory is the tensor and a few pieces, whatever the list holds, and no call into C holds the
interpreter lock for long. What the list means, and what is wrong with it, is the same as if it had
been decoded as a whole:

- The number of elements is counted before any is read: commas separate all elements of a list,
  nested or not, and a list of numbers has no other commas.
- A nested list must have exactly the brackets and commas of its shape, in this order, and no
  number directly before ``[`` or behind ``]``. With spaces in place of its inner brackets it is
  then the flat list of the same elements.
- Each piece ends at a comma, so it is a JSON list by itself if the whole is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import orjson

from penstock.server.errors import BodyTooLarge, InvalidRequest

from . import numbers
from .json_data import hint_of
from .tensors import from_list

if TYPE_CHECKING:
    from penstock.runtimes.contract import Array

    from .signature import WireInput

#: Bytes of JSON text that are parsed in one step.
PIECE_BYTES: Final = 64 * 1024
#: Text of lists without a single element, such as ``[[],[]]``, that is read as a whole.
MAX_EMPTY_BYTES: Final = 256 * 1024

_SPACE: Final = b" \t\r\n"
_NUMBER: Final = ord("0")
#: Brackets and commas as they are, anything else as a digit.
_LAYOUT: Final = bytes(byte if byte in b"[]," else _NUMBER for byte in range(256))
_SPACED: Final = bytes.maketrans(b"[]", b"  ")


def read_list(
    body: bytes, start: int, end: int, spec: WireInput, shape: list[int], size: int
) -> Array:
    """A list of numbers as an array.

    Args:
        body: A body.
        start: Position of the list's opening bracket.
        end: Position of its end; between them is no quote.
        spec: The input that it is for.
        shape: Dimensions, already checked against ``spec``.
        size: Their product.

    Raises:
        InvalidRequest: It is no list, or not one that the input takes.
    """
    if size == 0:
        return _read_empty(body[start : min(end, start + MAX_EMPTY_BYTES + 1)], spec, shape)
    nested = body.find(b"[", start + 1, end) >= 0
    if not nested and body.find(b"]", start, end - 1) >= 0:
        raise _malformed(spec)
    found = sum(
        body.count(b",", at, min(at + PIECE_BYTES, end)) for at in range(start, end, PIECE_BYTES)
    )
    if found != size - 1:
        raise InvalidRequest(
            f"input '{spec.name}': shape {shape} needs {size} elements, data has {found + 1}"
        )
    layout = _layout_of(shape, size) if nested else b""
    array: Array = np.empty(size, np.object_ if spec.is_bytes else spec.dtype)
    done = position = 0
    at, last = (start, end) if nested else (start + 1, end - 1)
    while at <= last:
        cut = body.find(b",", min(at + PIECE_BYTES, last), last)
        stop = last if cut < 0 else cut
        piece = body[at:stop]
        if nested:
            position = _check_layout(piece, layout, position, spec, shape)
            piece = piece.translate(_SPACED)
        read = _read_piece(piece, spec, done)
        array[done : done + len(read)] = read
        done += len(read)
        at = stop + 1
    return array.reshape(shape)


def _read_piece(text: bytes, spec: WireInput, first: int) -> Array:
    """The elements of a flat list without its brackets; the first is this one of the input's."""
    count = text.count(b",") + 1
    listed = b"[%b]" % text
    if numbers.AVAILABLE and spec.code:
        try:
            return numbers.read(listed, spec, [count], count)
        except numbers.UNUSUAL:
            pass
    try:
        elements = orjson.loads(listed)
    except orjson.JSONDecodeError as error:
        raise _malformed(spec, first, error) from None
    if len(elements) != count:
        raise _malformed(spec, first)
    return from_list(elements, spec, [count], count, first)


def _layout_of(shape: list[int], size: int) -> bytes:
    """All brackets and commas of a nested list of this shape, which has at least one element.

    Raises:
        BodyTooLarge: They are far more than the elements.
    """
    lists, below = 0, 1
    for dimension in shape:
        lists, below = lists + below, below * dimension
    if lists > 4 * size:
        raise BodyTooLarge(f"a nested list of shape {shape} is refused: send it flat")
    layout = b"[%b]" % (b"," * (shape[-1] - 1)) if shape else b"[]"
    for dimension in reversed(shape[:-1]):
        layout = b"[%b]" % b",".join([layout] * dimension)
    return layout


def _check_layout(
    piece: bytes, layout: bytes, position: int, spec: WireInput, shape: list[int]
) -> int:
    """Compare a piece with the part of the outline from a position on.

    Returns:
        The position behind it and the comma that follows.
    """
    kinds = piece.translate(_LAYOUT, _SPACE)
    brackets = kinds.replace(b"0", b"")
    end = position + len(brackets)
    wrong = b"0[" in kinds or b"]0" in kinds or b"][" in kinds
    if wrong or layout[position:end] != brackets or layout[end : end + 1] not in (b",", b""):
        raise InvalidRequest(
            f"input '{spec.name}': data must be a flat list or lists nested {len(shape)} deep "
            f"as shape {shape} says"
        )
    return end + 1


def _read_empty(text: bytes, spec: WireInput, shape: list[int]) -> Array:
    if len(text) > MAX_EMPTY_BYTES:
        raise InvalidRequest(f"input '{spec.name}': shape {shape} has no elements, data has some")
    try:
        elements = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _malformed(spec, 0, error) from None
    if type(elements) is not list:
        raise _malformed(spec)
    return from_list(elements, spec, shape, 0)


def _malformed(
    spec: WireInput, first: int = 0, error: orjson.JSONDecodeError | None = None
) -> InvalidRequest:
    """The error for a list of numbers that is no valid JSON."""
    if error is None:
        return InvalidRequest(f"the body is not valid JSON: 'data' of input '{spec.name}'")
    said = error.msg.partition(": line")[0]
    rest = error.doc[error.pos : error.pos + 9] if isinstance(error.doc, str) else ""
    hint = hint_of(rest)
    return InvalidRequest(
        f"the body is not valid JSON: 'data' of input '{spec.name}', "
        f"from element {first} on: {said}{hint}"
    )
