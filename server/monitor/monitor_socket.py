"""Where workers bring labels to the monitor, and control asks it. Samples come by the spool."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from penstock.server.processes.frames import BadFrame, read_frame
from penstock.server.processes.private_socket import listen_privately

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    #: Serves a connection, given its first frame.
    Server = Callable[[dict[str, Any], StreamReader, StreamWriter], Awaitable[None]]

LOG = logging.getLogger("penstock.monitor")


class MonitorSocket:
    """All connections.

    Args:
        servers: Server of a connection, by the kind of its first frame.
    """

    def __init__(self, servers: Mapping[str, Server]) -> None:
        self._servers = servers
        self._connected: dict[asyncio.Task[Any], StreamWriter] = {}
        self._server: asyncio.Server | None = None

    async def listen(self, path: Path) -> None:
        """Accept connections; a socket that a dead monitor left behind is replaced."""
        self._server = await listen_privately(self._serve, path)

    def close(self) -> None:
        """Stop accepting and hang up."""
        if self._server is not None:
            self._server.close()
        for writer in self._connected.values():
            writer.close()

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connected[task] = writer
        try:
            hello = await read_frame(reader)
            if hello is None:
                return
            serve = self._servers.get(hello["kind"])
            if serve is None:
                raise BadFrame(f"the first frame is none of {', '.join(self._servers)}")
            await serve(hello, reader, writer)
        except ConnectionError:
            pass  # it hung up while it was answered
        except (BadFrame, KeyError, TypeError, ValueError) as error:
            LOG.warning("a process speaks another language: %r", error)
        finally:
            del self._connected[task]
            with suppress(OSError):
                writer.close()
