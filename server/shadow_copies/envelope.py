"""Copied batches on the way from a worker to the shadow: a few of them share an envelope.

The shadow process counts and forwards; what is inside only its runner opens. On the wire:

    once     length of the rollout's id, 2 bytes; the id
    then     envelopes: length of the contents, 4 bytes; number of batches, 2; seconds, 4 (float);
             of each batch its requests and its rows, 4 bytes each; the contents

All numbers are big endian.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from asyncio import StreamReader
    from collections.abc import Sequence

_KEY: Final = struct.Struct(">H")
_HEAD: Final = struct.Struct(">IHf")
_SIZE: Final = struct.Struct(">II")

#: A batch larger than this is never copied.
MAX_BATCH_BYTES: Final = 128 << 20
#: Contents and batches of one envelope; a single batch may be larger.
MAX_CONTENT_BYTES: Final = 1 << 20
MAX_BATCHES: Final = 64
_LIMIT_BYTES: Final = MAX_BATCH_BYTES + 2 * MAX_CONTENT_BYTES


class BadEnvelope(Exception):
    """The other side does not speak this protocol."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Batches that travel together.

    Attributes:
        sizes: Requests and rows of each batch.
        seconds: Seconds that the slowest of them took the primary.
        content: The batches, as `penstock.server.shadow_copies.batches.encode` made them.
    """

    sizes: Sequence[tuple[int, int]]
    seconds: float
    content: bytes

    @property
    def head(self) -> bytes:
        """What goes before the contents."""
        return envelope_head(self.sizes, self.seconds, len(self.content))


def envelope_head(sizes: Sequence[tuple[int, int]], seconds: float, content_bytes: int) -> bytes:
    """The bytes that go before contents of this length."""
    head = _HEAD.pack(content_bytes, len(sizes), seconds)
    return b"".join((head, *(_SIZE.pack(*size) for size in sizes)))


def hello(key: str) -> bytes:
    """The first bytes of a connection for this rollout."""
    name = key.encode()
    return _KEY.pack(len(name)) + name


async def read_hello(reader: StreamReader) -> str:
    """Whose copies follow.

    Raises:
        asyncio.IncompleteReadError: The connection ended.
        BadEnvelope: It is no text.
    """
    [length] = _KEY.unpack(await reader.readexactly(_KEY.size))
    try:
        return (await reader.readexactly(length)).decode()
    except UnicodeDecodeError as error:
        raise BadEnvelope("a rollout's id is not UTF-8") from error


async def read_envelope(reader: StreamReader) -> Envelope:
    """The next envelope.

    Raises:
        asyncio.IncompleteReadError: The connection ended; what was begun does not count.
        BadEnvelope: It cannot be one.
    """
    length, count, seconds = _HEAD.unpack(await reader.readexactly(_HEAD.size))
    if length > _LIMIT_BYTES or not 0 < count <= MAX_BATCHES:
        raise BadEnvelope(f"an envelope of {length} bytes and {count} batches")
    sizes = list(_SIZE.iter_unpack(await reader.readexactly(_SIZE.size * count)))
    return Envelope(sizes, seconds, await reader.readexactly(length))
