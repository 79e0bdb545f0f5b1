"""msgpack bodies so large that unpacking them as a whole would cost others.

From `LARGE_BYTES` on, a body whose tensors are not raw bytes is read in two parts: its lists of
elements in pieces, each against the shape of its input, and the rest, of which no single value may
be large. There is no other way for such a body, so its cost is bounded.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.server.errors import BodyTooLarge, InvalidRequest

from .msgpack_values import array_at, bin_header, end_of, length_of, map_at, unpack_pieces
from .packing import UNREADABLE, unpack
from .tensors import check_texts, from_list

if TYPE_CHECKING:
    import msgpack

    from penstock.runtimes.contract import Array

    from .signature import WireInput

#: Smaller bodies cost little however they are unpacked.
LARGE_BYTES: Final = 64 * 1024
#: Entries of a map, or inputs: far more than a request has.
MAX_ENTRIES: Final = 4096
#: Elements made into objects at once.
PIECE_ELEMENTS: Final = 8192
#: Lists in a nested list, each of which takes a step of its own.
MAX_LISTS: Final = 1 << 19


class PackedList:
    """A list of elements that was not unpacked: where it begins and ends in the body."""

    __slots__ = ("end", "start")

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end


class LargeMsgpack:
    """A msgpack body of which the lists of elements are not read yet.

    Args:
        body: The body.

    Attributes:
        document: Decoded content, with a `PackedList` in place of each ``data`` that is a long
            list, and a view in place of each that is a ``bin``.

    Raises:
        ValueError: It is not msgpack.
        BodyTooLarge: A value beside tensors is too large.
    """

    def __init__(self, body: bytes | bytearray | memoryview) -> None:
        self._body = body
        self._position = 0
        self.document: Any = self._map({"inputs": self._inputs})
        if self._position != len(body):
            raise ValueError("bytes follow its end")

    def _map(self, readers: dict[str, Any]) -> Any:
        """The value here; in a map, values of some keys by readers of their own."""
        found = map_at(self._body, self._position)
        if found is None:
            return self._value()
        count, self._position = found
        if count > MAX_ENTRIES:
            raise BodyTooLarge(f"a map has {count} entries; a request has a few")
        values = {}
        for _ in range(count):
            key = self._value()
            if not isinstance(key, (str, bytes)):
                raise TypeError(f"{type(key).__name__} is not allowed for map key")
            reader = readers.get(key) if isinstance(key, str) else None
            values[key] = self._value() if reader is None else reader()
        return values

    def _inputs(self) -> Any:
        found = array_at(self._body, self._position)
        if found is None:
            return self._value()
        count, self._position = found
        if count > MAX_ENTRIES:
            raise BodyTooLarge(f"'inputs' has {count} entries; a request has a few")
        return [self._map({"data": self._data}) for _ in range(count)]

    def _data(self) -> Any:
        start = self._position
        if array_at(self._body, start) is None:
            header = bin_header(self._body, start)
            if header is None:
                return self._value()
            self._position = end = end_of(self._body, start)
            return memoryview(self._body)[start + header : end]
        self._position = end = end_of(self._body, start)
        if end - start > LARGE_BYTES:
            return PackedList(start, end)
        return unpack(self._body[start:end])

    def _value(self) -> Any:
        """A value that is small, or bytes or text, which cost no more than they are."""
        start = self._position
        self._position = end = end_of(self._body, start)
        if end - start > LARGE_BYTES and length_of(self._body, start) is None:
            raise BodyTooLarge(f"a value of {end - start} bytes belongs to no tensor")
        return unpack(self._body[start:end])

    def read(self, listed: PackedList, spec: WireInput, shape: list[int], size: int) -> Array:
        """The tensor of an input from its list.

        Raises:
            InvalidRequest: It is not what the input takes.
            BodyTooLarge: It is nested too finely.
        """
        found = array_at(self._body, listed.start)
        assert found is not None
        count, start = found
        flat = count == size and (not size or array_at(self._body, start) is None)
        if size > listed.end - listed.start or (count != size and not shape):
            raise InvalidRequest(
                f"input '{spec.name}': shape {shape} needs {size} elements, data has another number"
            )
        check_texts(spec, size)
        dimensions = [size] if flat else shape
        _check_lists(dimensions)
        array: Array = np.empty(size, np.object_ if spec.is_bytes else spec.dtype)
        reader = _ListReader(
            unpack_pieces(self._body, listed.start, listed.end, max_array_len=0, max_map_len=0),
            spec,
        )
        try:
            reader.walk(dimensions, array)
        except UNREADABLE:
            raise InvalidRequest(
                f"input '{spec.name}': data must be a flat list or lists nested {len(shape)} deep "
                f"as shape {shape} says"
            ) from None
        return array.reshape(shape)


def _check_lists(shape: list[int]) -> None:
    lists = 1
    for dimension in shape[:-1]:
        lists *= max(dimension, 1)
        if lists > MAX_LISTS:
            raise BodyTooLarge(
                f"a nested list of shape {shape} is refused: send it flat, or as bin"
            )


class _ListReader:
    """Walks over a list, nested or not, and fills an array with its elements."""

    __slots__ = ("_done", "_spec", "_unpacker", "_waiting")

    def __init__(self, source: msgpack.Unpacker, spec: WireInput) -> None:
        self._unpacker = source
        self._spec = spec
        self._waiting: list[Any] = []
        self._done = 0

    def walk(self, shape: list[int], array: Array) -> None:
        self._level(shape, array)
        self._flush(array)
        if self._done != array.size:
            raise ValueError("another number of elements")

    def _level(self, shape: list[int], array: Array) -> None:
        if self._unpacker.read_array_header() != shape[0]:
            raise ValueError("another length than the shape says")
        if len(shape) > 1:
            for _ in range(shape[0]):
                self._level(shape[1:], array)
            return
        left = shape[0]
        while left:
            taken = list(islice(self._unpacker, min(left, PIECE_ELEMENTS)))
            if not taken:
                raise ValueError("it is cut short")
            left -= len(taken)
            self._waiting += taken
            if len(self._waiting) >= PIECE_ELEMENTS:
                self._flush(array)

    def _flush(self, array: Array) -> None:
        elements, self._waiting = self._waiting, []
        done, count = self._done, len(elements)
        if count:
            array[done : done + count] = from_list(elements, self._spec, [count], count, done)
        self._done = done + count
