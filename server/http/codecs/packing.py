"""The msgpack library as this package uses it, typed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import msgpack

if TYPE_CHECKING:
    from collections.abc import Callable

#: A value as msgpack; `bytes` become ``bin``.
pack = cast("Callable[[Any], bytes]", msgpack.packb)

#: The value of a msgpack body; ``bin`` becomes `bytes`, ``str`` must be UTF-8.
unpack = cast("Callable[[bytes | bytearray | memoryview], Any]", msgpack.unpackb)

#: What `unpack` raises for bodies that are not msgpack.
UNREADABLE: Final = (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException)
