"""The msgpack library as this package uses it, typed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import msgpack

if TYPE_CHECKING:
    from collections.abc import Callable

#: A value as msgpack; `bytes` become ``bin``.
pack = cast("Callable[[Any], bytes]", msgpack.packb)

#: The value of a msgpack body; ``bin`` becomes `bytes`, ``str`` must be UTF-8.
unpack = cast("Callable[[bytes | bytearray | memoryview], Any]", msgpack.unpackb)


class Unpacker(Protocol):
    """Walks over a msgpack body value by value. Each method raises `UNREADABLE`."""

    def read_map_header(self) -> int:
        """Enter a map; returns how many pairs follow."""
        ...

    def read_array_header(self) -> int:
        """Enter an array; returns how many values follow."""
        ...

    def unpack(self) -> Any:
        """Return the next value of the body."""
        ...

    def tell(self) -> int:
        """Return the number of bytes read so far."""
        ...


def unpacker(body: bytes) -> Unpacker:
    """A msgpack unpacker that is positioned at the start of a body."""
    walker = msgpack.Unpacker(max_buffer_size=max(1, len(body)))
    walker.feed(body)
    return cast("Unpacker", walker)


#: What `unpack` raises for bodies that are not msgpack.
UNREADABLE: Final = (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException)
