"""What the shadow process and its runner say to each other: bytes after their length.

to the runner      the order; then contents of envelopes
from the runner    msgpack maps: one `ready` or `refused`, then one report for each batch
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import msgpack

if TYPE_CHECKING:
    import socket
    from asyncio import StreamReader, StreamWriter

_LENGTH: Final = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Order:
    """What a runner shall do.

    Attributes:
        config: Path of the server's configuration, as JSON.
        target: A target with the one plan whose mirror is meant, encoded.
    """

    config: str
    target: bytes

    def encode(self) -> bytes:
        """Bytes for the runner."""
        return cast("bytes", msgpack.packb({"config": self.config, "target": self.target}))

    @classmethod
    def decode(cls, data: bytes | bytearray | memoryview) -> Order:
        """The reverse of `encode`."""
        return cls(**msgpack.unpackb(data))


def send(link: socket.socket, message: dict[str, Any]) -> None:
    """Send a map, from the runner."""
    body = cast("bytes", msgpack.packb(message))
    link.sendall(_LENGTH.pack(len(body)) + body)


def receive(link: socket.socket) -> memoryview | None:
    """The next bytes for the runner; ``None`` at the end."""
    head = _exactly(link, _LENGTH.size)
    if head is None:
        return None
    return _exactly(link, _LENGTH.unpack(head)[0])


def write(writer: StreamWriter, content: bytes) -> None:
    """Give bytes to the runner."""
    writer.write(_LENGTH.pack(len(content)))
    writer.write(content)


async def read(reader: StreamReader) -> dict[str, Any]:
    """The next map of the runner.

    Raises:
        asyncio.IncompleteReadError: It is gone.
    """
    [length] = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    message = msgpack.unpackb(await reader.readexactly(length), strict_map_key=False)
    return cast("dict[str, Any]", message)


def _exactly(link: socket.socket, size: int) -> memoryview | None:
    whole = memoryview(bytearray(size))
    view = whole
    while view:
        count = link.recv_into(view)
        if not count:
            return None
        view = view[count:]
    return whole
