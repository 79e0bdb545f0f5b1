"""Messages between the processes: msgpack maps with a ``kind``, each after its length.

Between control and a worker:

| kind | from | content |
|---|---|---|
| `hello` | worker | `process`, `incarnation`, `pid` |
| `report` | worker | `target`, `steered`: numbers it has reached; `ready`; `models`: each version |
| `metrics` | worker | `id`, `accept`: asks for the exposition |
| `metrics` | control | `id`, `content_type`, `body` |
| `target` | control | `target`: what `penstock.server.target.target.encode_target` made |

Between the monitor and a worker travel labels, see `penstock.server.monitor.feedback_endpoint`;
between a process and a child that may crash what `penstock.server.isolation.link` carries.

Two streams have frames of their own, since nobody but the last reader opens what is in them: the
spool of samples, which is a file, and the envelopes with copies of answered batches. A trial of a
load takes pickled orders by `multiprocessing.connection`, which comes with its own framing.
"""

from __future__ import annotations

from asyncio import IncompleteReadError
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.files.decoding import ContentError, pack, unpack

if TYPE_CHECKING:
    from asyncio import StreamReader

_LENGTH_BYTES: Final = 4
MAX_FRAME_BYTES: Final = 256 << 20


class BadFrame(Exception):
    """The other side does not speak this protocol."""


def pack_frame(kind: str, **content: Any) -> bytes:
    """One frame, ready to be written."""
    body = pack({"kind": kind, **content})
    if len(body) > MAX_FRAME_BYTES:
        raise ValueError(f"a frame of {len(body)} bytes is over {MAX_FRAME_BYTES}")
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


async def read_frame(reader: StreamReader) -> dict[str, Any] | None:
    """The next frame, or ``None`` at the end of the stream, clean or not.

    Raises:
        BadFrame: The bytes are no frame.
    """
    try:
        body = await reader.readexactly(_size(await reader.readexactly(_LENGTH_BYTES)))
    except (IncompleteReadError, ConnectionError):
        return None
    return _content(body)


def _size(head: bytes | bytearray) -> int:
    size = int.from_bytes(head, "big")
    if size > MAX_FRAME_BYTES:
        raise BadFrame(f"a frame of {size} bytes is over {MAX_FRAME_BYTES}")
    return size


def _content(body: bytes | bytearray) -> dict[str, Any]:
    try:
        frame = unpack(dict[str, Any], body, "a frame")
    except ContentError as error:
        raise BadFrame(str(error)) from error
    if not isinstance(frame.get("kind"), str):
        raise BadFrame("not a map with a kind")
    return frame
