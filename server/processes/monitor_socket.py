"""Where workers bring their samples: connections, frames that wait, acknowledgements."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from .frames import BadFrame, pack_frame, read_frame

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    FeedbackServer = Callable[[dict[str, Any], StreamReader, StreamWriter], Awaitable[None]]

LOG = logging.getLogger("penstock.monitor")

#: Above this nothing more is read: then the workers' sockets fill, and then the workers' buffers.
MAX_WAITING_BYTES: Final = 16 << 20

#: Incarnation, number, rows by model and version, payload.
Arrived = tuple[str, int, dict[tuple[str, str], int], bytes]


class MonitorSocket:
    """All connected workers.

    Args:
        kept: The number of the last frame that is on the disk, by incarnation.
        feedback: Serves a connection that brings labels, given its first frame.
    """

    def __init__(self, kept: Callable[[str], int], feedback: FeedbackServer) -> None:
        self._kept = kept
        self._feedback = feedback
        self._waiting: list[Arrived] = []
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._connected: dict[asyncio.Task[Any], tuple[str, StreamWriter]] = {}
        self._server: asyncio.Server | None = None

    async def listen(self, path: Path) -> None:
        """Accept workers; a socket that a dead monitor left behind is replaced."""
        path.unlink(missing_ok=True)  # noqa: ASYNC240  once, in memory, before anybody waits
        self._server = await asyncio.start_unix_server(self._serve, path)
        path.chmod(0o600)  # noqa: ASYNC240  a run_dir of the operator's may be open to others

    def close(self) -> None:
        """Stop accepting and hang up."""
        if self._server is not None:
            self._server.close()
        for _, writer in self._connected.values():
            writer.close()

    def present(self) -> set[str]:
        """Who is connected or has frames waiting; may be asked from any thread."""
        connected = list(self._connected.values())
        waiting = list(self._waiting)
        return {one for one, _ in connected if one} | {one for one, *_ in waiting}

    def take(self) -> list[Arrived]:
        """The frames that wait."""
        frames, self._waiting = self._waiting, []
        self._bytes = 0
        self._room.set()
        self._arrived.clear()
        return frames

    def acknowledge(self) -> None:
        """Tell every worker what was kept of its frames."""
        for incarnation, writer in self._connected.values():
            if incarnation and not writer.is_closing():
                writer.write(pack_frame("ack", number=self._kept(incarnation)))

    async def wait_frames(self, or_event: asyncio.Event, timeout_seconds: float) -> None:
        """Wait until a frame has arrived or the event is set, for so long at most."""
        waits = {asyncio.ensure_future(self._arrived.wait())}
        if not or_event.is_set():
            waits.add(asyncio.ensure_future(or_event.wait()))
        _, pending = await asyncio.wait(
            waits, timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED
        )
        for wait in pending:
            wait.cancel()

    async def wait_ended(self, timeout_seconds: float) -> None:
        """Wait until every worker has hung up and is read to the end, for so long at most."""
        if self._connected:
            await asyncio.wait(set(self._connected), timeout=timeout_seconds)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connected[task] = ("", writer)
        try:
            hello = await read_frame(reader)
            if hello is None:
                return
            if hello["kind"] == "feedback":
                await self._feedback(hello, reader, writer)
                return
            incarnation = hello["incarnation"]
            self._connected[task] = (incarnation, writer)
            writer.write(pack_frame("ack", number=self._kept(incarnation)))
            while (frame := await read_frame(reader)) is not None:
                self._receive(incarnation, frame)
                await self._room.wait()
        except ConnectionError:
            pass  # it hung up while it was answered
        except (BadFrame, KeyError, TypeError, ValueError) as error:
            LOG.warning("a worker speaks another language: %r", error)
        finally:
            del self._connected[task]
            with suppress(OSError):
                writer.close()

    def _receive(self, incarnation: str, frame: dict[str, Any]) -> None:
        rows = {(model, version): count for model, version, count in frame["rows"]}
        payload = frame["payload"]
        self._waiting.append((incarnation, frame["number"], rows, payload))
        self._bytes += len(payload)
        self._arrived.set()
        if self._bytes >= MAX_WAITING_BYTES:
            self._room.clear()
