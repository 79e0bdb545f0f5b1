"""Unix sockets on which the processes of one server meet."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


#: Bytes that a connection reads ahead; the default of `asyncio`.
READ_AHEAD_BYTES: Final = 64 * 1024


async def listen_privately(
    serve: Serve, path: Path, *, limit: int = READ_AHEAD_BYTES
) -> asyncio.Server:
    """Accept connections on a socket that only this user may open.

    Args:
        serve: Serves a connection.
        path: The socket; one that a former process left behind is replaced.
        limit: Bytes that a connection reads ahead.
    """
    path.unlink(missing_ok=True)  # noqa: ASYNC240  once, in memory, before anybody waits
    server = await asyncio.start_unix_server(serve, path, limit=limit)
    path.chmod(0o600)  # noqa: ASYNC240  a run_dir of the operator's may be open to others
    return server
