"""The protobuf wire format, read field by field from a file through one small window.

Only what leads to the fields asked for is read, so a model of gigabytes costs kilobytes of memory,
and nothing is believed: lengths are checked against what is there, the number of fields is bounded,
and what no honest writer produces (groups, over-long keys) is an error rather than skipped. The
format: https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

import os
import re
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

VARINT: Final = 0
FIXED64: Final = 1
LENGTH: Final = 2
FIXED32: Final = 5

_WIDTH: Final = {FIXED64: 8, FIXED32: 4}
_WINDOW_BYTES: Final = 1 << 14
_MAX_VARINT_BYTES: Final = 10
#: Field numbers have 29 bits; together with the three of the kind they fill a uint32.
_MAX_KEY: Final = (1 << 32) - 1
_MORE: Final = 0x80
#: Elements of a run may be this long to be passed over by one regular expression.
_SHORT: Final = 32
#: So many of them are passed over by one match.
_AT_ONCE: Final = 256


class ProtobufError(Exception):
    """The bytes are not a protobuf message; the message says where it stops being one."""


class Field(NamedTuple):
    """One field of a message.

    Attributes:
        number: As in the ``.proto`` file.
        kind: `VARINT`, `FIXED64`, `LENGTH` or `FIXED32`.
        value: Value of a varint; 0 for the other kinds.
        start: Offset of the content in the file.
        end: Offset after it.
    """

    number: int
    kind: int
    value: int
    start: int
    end: int


class ProtobufReader:
    """A file that holds one message.

    Reads with ``pread``: unlike a memory map, a file cut short meanwhile is an error, not SIGBUS.

    Args:
        descriptor: Descriptor of the file, open for reading; stays the caller's.
        size: Size of the file, in bytes.
        max_fields: Most fields that are decoded one by one before it counts as an attack.
    """

    def __init__(self, descriptor: int, size: int, max_fields: int) -> None:
        self.size = size
        self._descriptor = descriptor
        self._fields_left = max_fields
        self._window = b""
        self._base = 0

    def fields(self, start: int, end: int, skim: frozenset[int] = frozenset()) -> Iterator[Field]:
        """The fields of the message at ``[start, end)``; those numbered in `skim` are passed over.

        Passing over runs of small values is some fifty times faster than decoding them; the trees
        of a boosted ensemble are millions of such values.

        Raises:
            WireError: These bytes are no message, or there are too many fields.
        """
        position = start
        while position < end:
            self._fields_left -= 1
            if self._fields_left < 0:
                raise ProtobufError("it has more fields than any model needs")
            key, after = self._varint(position, end)
            number, kind = key >> 3, key & 7
            if number == 0 or key > _MAX_KEY:
                raise ProtobufError(f"no field can start at byte {position}")
            if number in skim and key < _MORE:
                passed = self._skim(key, position, end)
                if passed > position:
                    position = passed
                    continue
            value, after, stop = self._extent(kind, after, end)
            if stop > end:
                raise ProtobufError(
                    f"the field at byte {position} should end at byte {stop}, but there are only "
                    f"{end}: the file is cut short or broken"
                )
            position = stop
            if number not in skim:
                yield Field(number, kind, value, after, stop)

    def read(self, field: Field, limit: int) -> bytes:
        """The content of a field of kind `LENGTH`.

        Raises:
            WireError: It is of another kind or longer than `limit`, or the file was cut short.
        """
        length = field.end - field.start
        if field.kind != LENGTH:
            # A parser would skip it and keep the value it read before: not what we would see.
            raise ProtobufError(
                f"field {field.number} at byte {field.start} is a number, not a text"
            )
        if length > limit:
            raise ProtobufError(
                f"field {field.number} at byte {field.start} holds {length} bytes, at most {limit} "
                "are allowed there"
            )
        index = self._seek(field.start, length)
        content = self._window[index : index + length]
        if len(content) < length:
            raise ProtobufError(
                f"the file ends at byte {field.start + len(content)}: it was cut short"
            )
        return content

    def varints(self, field: Field) -> Iterator[int]:
        """The values of a repeated integer, packed or not."""
        if field.kind == VARINT:
            yield field.value
        elif field.kind == LENGTH:
            position = field.start
            while position < field.end:
                value, position = self._varint(position, field.end)
                yield value

    def _extent(self, kind: int, position: int, end: int) -> tuple[int, int, int]:
        """Value, start and end of the content there."""
        if kind == LENGTH:
            length, position = self._varint(position, end)
            return 0, position, position + length
        if kind == VARINT:
            value, position = self._varint(position, end)
            return value, position, position
        if kind in _WIDTH:
            return 0, position, position + _WIDTH[kind]
        raise ProtobufError(f"the field before byte {position} has the unknown wire type {kind}")

    def _varint(self, position: int, end: int) -> tuple[int, int]:
        """The value there, and the offset after it."""
        index = self._seek(position, min(_MAX_VARINT_BYTES, end - position))
        window = self._window
        if position < end and index < len(window) and window[index] < _MORE:
            return window[index], position + 1
        value = shift = 0
        for byte in window[index : index + min(_MAX_VARINT_BYTES, end - position)]:
            value |= (byte & 0x7F) << shift
            position += 1
            shift += 7
            if byte < _MORE:
                return value, position
        if shift >= 7 * _MAX_VARINT_BYTES:
            raise ProtobufError(f"the number that ends at byte {position} is longer than 10 bytes")
        raise ProtobufError(f"the number at byte {position} does not end: the file is cut short")

    def _skim(self, key: int, position: int, end: int) -> int:
        """The offset after the run of like fields that starts here, as far as the window shows."""
        index = self._seek(position, 2 * _SHORT)
        first, last = index, index + end - position
        run_of = _run_of(key)
        while (run := run_of.match(self._window, index, last)) is not None:
            index = run.end()
        return position + index - first

    def _seek(self, position: int, length: int) -> int:
        """Index of `position` in the window, which is moved unless it shows so much."""
        index = position - self._base
        if index < 0 or index + length > len(self._window):
            self._window = os.pread(self._descriptor, max(_WINDOW_BYTES, length), position)
            self._base = position
            return 0
        return index


@cache
def _run_of(key: int) -> re.Pattern[bytes]:
    """Matches some of the fields with this one-byte key that follow each other.

    Not all, as a match keeps something for each to go back to, and not possessively, as Python
    before 3.11.5 then goes wrong: https://github.com/python/cpython/issues/106052.
    """
    kind = key & 7
    if kind == VARINT:
        content = rb"[\x80-\xff]{0,9}[\x00-\x7f]"
    elif kind == LENGTH:
        content = b"(?:" + b"|".join(b"\\x%02x.{%d}" % (n, n) for n in range(_SHORT)) + b")"
    else:
        content = b".{%d}" % _WIDTH.get(kind, 0)
    return re.compile(b"(?:\\x%02x%b){1,%d}" % (key, content, _AT_ONCE), re.DOTALL)
