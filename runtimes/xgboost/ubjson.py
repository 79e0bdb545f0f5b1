"""Reads Universal Binary JSON as XGBoost writes it, and trusts no length in it.

The format: <https://ubjson.org/type-reference/>. A typed array becomes a numpy array over the
bytes of the file, so a model of many trees costs few objects.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import numpy as np

#: XGBoost nests ten deep.
MAX_DEPTH: Final = 32
#: Format characters of `struct`, and types of numpy.
_NUMBERS: Final = {
    b"i": (">b", ">i1"),
    b"U": (">B", ">u1"),
    b"I": (">h", ">i2"),
    b"l": (">i", ">i4"),
    b"L": (">q", ">i8"),
    b"d": (">f", ">f4"),
    b"D": (">d", ">f8"),
}
_CONSTANTS: Final = {b"Z": None, b"T": True, b"F": False}


class UbjsonError(ValueError):
    """The bytes are no UBJSON. The message says where."""


def parse(data: bytes) -> Any:
    """The value of a document.

    Raises:
        UbjsonError: It ends early, claims more than it has, is nested too deeply or is none.
    """
    reader = _Reader(data)
    value = reader.value(reader.take(1), 0)
    if reader.at != len(data):
        raise UbjsonError(f"{len(data) - reader.at} bytes follow its end")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        end = self.at + size
        if not 0 <= size <= len(self._data) - self.at:
            left = len(self._data) - self.at
            raise UbjsonError(f"it claims {size} bytes at byte {self.at}, where {left} are left")
        piece = self._data[self.at : end]
        self.at = end
        return piece

    def value(self, kind: bytes, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise UbjsonError(f"it is nested deeper than {MAX_DEPTH}")
        if kind == b"{":
            return self._object(depth)
        if kind == b"[":
            return self._array(depth)
        if kind == b"S":
            return self._text()
        if kind in _CONSTANTS:
            return _CONSTANTS[kind]
        return self._number(kind)

    def _number(self, kind: bytes) -> Any:
        known = _NUMBERS.get(kind)
        if known is None:
            raise UbjsonError(f"byte {self.at - 1} is {kind!r}, no known type")
        form = known[0]
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def _count(self) -> int:
        count = self._number(self.take(1))
        if not isinstance(count, int) or count < 0:
            raise UbjsonError(f"there is a length of {count} before byte {self.at}")
        return count

    def _text(self) -> str:
        try:
            return self.take(self._count()).decode()
        except UnicodeDecodeError as error:
            raise UbjsonError(f"a text before byte {self.at} is not UTF-8") from error

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self._data[self.at : self.at + 1] != b"}":
            key = self._text()
            if key in found:  # the library takes the first one
                raise UbjsonError(f"{key!r} is there twice before byte {self.at}")
            found[key] = self.value(self.take(1), depth + 1)
        self.at += 1
        return found

    def _array(self, depth: int) -> Any:
        kind = b""
        if self._data[self.at : self.at + 1] == b"$":
            kind = self.take(2)[1:]
        if self._data[self.at : self.at + 1] != b"#":
            if kind:
                raise UbjsonError(f"an array of one type has no length at byte {self.at}")
            found = []
            while self._data[self.at : self.at + 1] != b"]":
                found.append(self.value(self.take(1), depth + 1))
            self.at += 1
            return found
        self.at += 1
        count = self._count()
        if not kind:
            self.take(0 if count <= len(self._data) - self.at else count)
            return [self.value(self.take(1), depth + 1) for _ in range(count)]
        known = _NUMBERS.get(kind)
        if known is None:
            raise UbjsonError(f"an array of {kind!r} before byte {self.at} is no array of numbers")
        dtype = known[1]
        return np.frombuffer(self.take(count * np.dtype(dtype).itemsize), dtype)
