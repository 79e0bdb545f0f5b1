"""Counts the fields of a request before it is parsed: each message in it takes memory of its own.

An empty tensor is two bytes of a request, and a hundred bytes of memory where it is parsed. So
tensors, outputs and parameters are counted. The elements of a tensor are bounded by its bytes.
The format: https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from typing import Any, Final

#: Wire type of what has a length before it: messages, texts, bytes and packed lists.
LENGTH: Final = 2
_WIDTHS: Final = {1: 8, 5: 4}
_MORE: Final = 0x80
_MAX_SHIFT: Final = 63

#: The messages in a parameter, an output, an input and a request, by their field.
_PARAMETER: Final[dict[int, Any]] = {2: {}}
_REQUEST: Final[dict[int, Any]] = {
    4: _PARAMETER,
    5: {4: _PARAMETER},
    6: {2: _PARAMETER},
}
_INPUT: Final = 5
_CONTENTS: Final = 5


class Malformed(ValueError):
    """The bytes are no message."""


class TooManyFields(ValueError):
    """The message has more fields than were allowed."""


def count_fields(body: bytes, most: int) -> int:
    """The number of fields of a ``ModelInferRequest``, those of the messages in it included.

    Args:
        body: The request.
        most: The number at which counting stops.

    Raises:
        Malformed: It is no message.
        TooManyFields: It has more than `most`.
    """
    return most - _count(body, 0, len(body), _REQUEST, most)


def has_contents(body: bytes, most: int) -> bool:
    """Whether elements of a tensor are anywhere else than in ``raw_input_contents``.

    Args:
        body: The request.
        most: Fields after which it is taken for granted.

    Raises:
        Malformed: It is no message.
    """
    position, end = 0, len(body)
    for _ in range(most):
        if position >= end:
            return False
        number, kind, start, position = _field(body, position, end)
        at = start if number == _INPUT and kind == LENGTH else position
        while at < position:
            inner, _, _, at = _field(body, at, position)
            if inner == _CONTENTS:
                return True
    return True


def _count(body: bytes, position: int, end: int, inner: dict[int, Any], left: int) -> int:
    """Count the fields between two positions; returns how many more are allowed."""
    while position < end:
        number, kind, start, position = _field(body, position, end)
        left -= 1
        if left < 0:
            raise TooManyFields
        if kind == LENGTH and number in inner:
            left = _count(body, start, position, inner[number], left)
    return left


def _field(body: bytes, position: int, end: int) -> tuple[int, int, int, int]:
    """Number, wire type, start and end of the field there."""
    key, position = _varint(body, position, end)
    kind = key & 7
    start = position
    if kind == LENGTH:
        length, start = _varint(body, position, end)
        stop = start + length
    elif kind == 0:
        _, stop = _varint(body, position, end)
    elif kind in _WIDTHS:
        stop = position + _WIDTHS[kind]
    else:
        raise Malformed(f"wire type {kind}")
    if stop > end:
        raise Malformed("a field ends behind its message")
    return key >> 3, kind, start, stop


def _varint(body: bytes, position: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while position < end and shift <= _MAX_SHIFT:
        byte = body[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < _MORE:
            return value, position
        shift += 7
    raise Malformed("a number without an end")
