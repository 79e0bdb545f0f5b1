"""What a msgpack body would cost to unpack, found out before it is unpacked.

The unpacker makes room for as many elements as the header of an array promises, before any has
come: 39 kB of nested headers took 3 GB. And it makes an object of each value and holds the
interpreter lock from beginning to end.
"""

from __future__ import annotations

from typing import Any, Final

import msgpack

from .packing import unpack

#: Read at once, so that no call into C holds the interpreter lock for long.
PIECE_BYTES: Final = 64 * 1024
#: Smaller bodies cannot promise much, and cost little however they are unpacked.
_SMALL_BYTES: Final = 1024
#: Bytes that look like headers of long arrays before anybody looks whether they are some.
_HEADERS: Final = 8
#: Values of a body whose tensors are raw bytes: names, datatypes, dimensions.
_FEW_VALUES: Final = 1024

#: Length of the value by its first byte, that byte included, where this alone says it.
_FIXED: Final = {
    0xC0: 1, 0xC2: 1, 0xC3: 1, 0xCA: 5, 0xCB: 9, 0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9,
    0xD0: 2, 0xD1: 3, 0xD2: 5, 0xD3: 9, 0xD4: 3, 0xD5: 4, 0xD6: 6, 0xD7: 10, 0xD8: 18,
}  # fmt: skip
#: Bytes of the length behind the first byte, and bytes between that and the content.
_COUNTED: Final = {
    0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0), 0xC7: (1, 1), 0xC8: (2, 1), 0xC9: (4, 1),
    0xD9: (1, 0), 0xDA: (2, 0), 0xDB: (4, 0),
}  # fmt: skip
#: Bytes before the content of a ``bin`` by its first byte.
_BIN_HEADERS: Final = {0xC4: 2, 0xC5: 3, 0xC6: 5}
#: Bytes of the number of entries behind the first byte, and values in an entry.
_CONTAINERS: Final = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}


class Pieces:
    """Part of a body as a file for the unpacker, a piece at a time."""

    __slots__ = ("_body", "_end", "_position")

    def __init__(self, body: bytes | bytearray | memoryview, start: int, end: int) -> None:
        self._body = body
        self._position = start
        self._end = end

    def read(self, size: int) -> bytes:
        """At most so many of the next bytes; empty at the end."""
        start = self._position
        self._position = stop = min(start + size, self._end)
        return bytes(self._body[start:stop])


def unpack_pieces(
    body: bytes | bytearray | memoryview, start: int, end: int, **limits: Any
) -> msgpack.Unpacker:
    """Reads values of a part of a body, one after the other."""
    return msgpack.Unpacker(
        Pieces(body, start, end),
        read_size=PIECE_BYTES,
        max_buffer_size=max(end - start, PIECE_BYTES),
        **limits,
    )


def end_of(body: bytes | bytearray | memoryview, start: int) -> int:
    """Where a value ends. Nothing is made of it, and all it promises is there.

    Raises:
        ValueError: It is no value, or cut short.
    """
    length = length_of(body, start)
    if length is None:
        skipping = unpack_pieces(body, start, len(body))
        try:
            skipping.skip()
        except msgpack.OutOfData as error:
            raise ValueError("it is cut short") from error
        return start + int(skipping.tell())
    if start + length > len(body):
        raise ValueError("it is cut short")
    return start + length


def length_of(body: bytes | bytearray | memoryview, start: int) -> int | None:
    """Bytes of a value that is no container, or ``None`` of one that is.

    Raises:
        ValueError: It is no value.
    """
    first = _byte(body, start)
    if first < 0x80 or first >= 0xE0:  # noqa: PLR2004  small integers
        return 1
    if 0xA0 <= first < 0xC0:  # noqa: PLR2004  short texts
        return 1 + (first & 0x1F)
    if first in _FIXED:
        return _FIXED[first]
    if first in _COUNTED:
        size, more = _COUNTED[first]
        return 1 + size + more + int.from_bytes(body[start + 1 : start + 1 + size], "big")
    if first == 0xC1:  # noqa: PLR2004  the only byte that begins nothing
        raise ValueError("byte c1 begins no value")
    return None


def bin_header(body: bytes | bytearray | memoryview, start: int) -> int | None:
    """Bytes before the content of a ``bin``; ``None`` for any other value."""
    return _BIN_HEADERS.get(_byte(body, start))


def array_at(body: bytes | bytearray | memoryview, start: int) -> tuple[int, int] | None:
    """Elements of an array and where they begin; ``None`` for any other value.

    Raises:
        ValueError: The body ends here.
    """
    return _entries(body, start, 1)


def map_at(body: bytes | bytearray | memoryview, start: int) -> tuple[int, int] | None:
    """Entries of a map and where they begin; ``None`` for any other value.

    Raises:
        ValueError: The body ends here.
    """
    return _entries(body, start, 2)


def _entries(body: bytes | bytearray | memoryview, start: int, each: int) -> tuple[int, int] | None:
    first = _byte(body, start)
    if first & 0xF0 == (0x90 if each == 1 else 0x80):
        return first & 0x0F, start + 1
    size, values = _CONTAINERS.get(first, (0, 0))
    if values != each:
        return None
    return int.from_bytes(body[start + 1 : start + 1 + size], "big"), start + 1 + size


def _byte(body: bytes | bytearray | memoryview, position: int) -> int:
    if position >= len(body):
        raise ValueError("it is cut short")
    return body[position]


def holds_few_values(body: bytes | bytearray | memoryview) -> bool:
    """Whether a body is one complete value of few values, which costs nothing to unpack.

    So it is where tensors are raw bytes, however large; headers alone are looked at.
    """
    position, pending = 0, 1
    try:
        for _ in range(_FEW_VALUES):
            if not pending:
                return position == len(body)
            length = length_of(body, position)
            if length is not None:
                position, pending = position + length, pending - 1
                continue
            array, mapping = array_at(body, position), map_at(body, position)
            count, position = array or mapping  # type: ignore[misc]  # it is one of them
            pending += count * (1 if array else 2) - 1
    except ValueError:
        pass
    return False


def unpack_small(body: bytes | bytearray | memoryview) -> Any:
    """Unpack a body that is small, after a look at what it promises.

    Raises:
        ValueError: It promises more than it holds, or is not msgpack.
    """
    if len(body) > _SMALL_BYTES:
        raw = bytes(body)
        headers = raw.count(b"\xdd") + raw.count(b"\xdc")
        if headers > _HEADERS and end_of(raw, 0) != len(raw):
            raise ValueError("bytes follow its end")
    return unpack(body)
