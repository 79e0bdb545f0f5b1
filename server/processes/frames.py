"""What travels between the processes: msgpack maps, each after its length.

Between control and a worker:

| kind | from | content |
|---|---|---|
| `hello` | worker | `process`, `incarnation`, `pid` |
| `report` | worker | `target`, `steered`: numbers it has reached; `ready`; `models`: each version |
| `metrics` | worker | `id`, `accept`: asks for the exposition |
| `metrics` | control | `id`, `content_type`, `body` |
| `target` | control | `target`: what `penstock.server.target.target.encode_target` made |

Between the monitor and a worker travel labels, see `penstock.server.feedback`.
"""

from __future__ import annotations

from asyncio import IncompleteReadError
from typing import TYPE_CHECKING, Any, Final, cast

import msgpack

if TYPE_CHECKING:
    from asyncio import StreamReader

_LENGTH_BYTES: Final = 4
MAX_FRAME_BYTES: Final = 256 << 20


class BadFrame(Exception):
    """The other side does not speak this protocol."""


def pack_frame(kind: str, **content: Any) -> bytes:
    """One frame, ready to be written."""
    body = cast("bytes", msgpack.packb({"kind": kind, **content}))
    if len(body) > MAX_FRAME_BYTES:
        raise ValueError(f"a frame of {len(body)} bytes is over {MAX_FRAME_BYTES}")
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


async def read_frame(reader: StreamReader) -> dict[str, Any] | None:
    """The next frame, or ``None`` at the end of the stream, clean or not.

    Raises:
        BadFrame: The bytes are no frame.
    """
    try:
        size = int.from_bytes(await reader.readexactly(_LENGTH_BYTES), "big")
        if size > MAX_FRAME_BYTES:
            raise BadFrame(f"a frame of {size} bytes is over {MAX_FRAME_BYTES}")
        body = await reader.readexactly(size)
    except (IncompleteReadError, ConnectionError):
        return None
    try:
        frame = msgpack.unpackb(body, strict_map_key=False)
    except (msgpack.UnpackException, ValueError) as error:
        raise BadFrame(f"not msgpack: {error!r}") from error
    if not isinstance(frame, dict) or not isinstance(frame.get("kind"), str):
        raise BadFrame("not a map with a kind")
    return frame
