"""The worker's end of the link to control. Nothing here ever waits in the way of a prediction.

While control is away the worker serves its last target and looks for control again; what it reports
is state, not events, so only the latest report matters and nothing is lost by not sending it.
"""

from __future__ import annotations

import asyncio
import logging
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.files.decoding import ContentError
from penstock.server.errors import Unavailable
from penstock.server.processes.frames import BadFrame, pack_frame, read_frame
from penstock.server.target.target import decode_target

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from penstock.server.target.target import Target

LOG = logging.getLogger("penstock.link")

FIRST_RETRY_SECONDS: Final = 0.02
MAX_RETRY_SECONDS: Final = 1.0
METRICS_SECONDS: Final = 5.0
#: Bytes waiting in our end of the socket above which nothing more is put in.
MAX_WAITING_BYTES: Final = 8 << 20


class Link:
    """Connects to control, again and again.

    Args:
        path: Control's socket.
        hello: First message: ``process``, ``incarnation``, ``pid``.
        on_target: Called with every target that arrives.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        path: Path,
        hello: dict[str, Any],
        on_target: Callable[[Target], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._path = path
        self._hello = pack_frame("hello", **hello)
        self._on_target = on_target
        self._sleep = sleep
        self._writer: StreamWriter | None = None
        self._report: bytes | None = None
        self._unsent = False
        self._ids = count()
        self._asked: dict[int, asyncio.Future[tuple[bytes, bytes]]] = {}

    @property
    def writable(self) -> bool:
        """Whether control is there and keeps up."""
        writer = self._writer
        return writer is not None and writer.transport.get_write_buffer_size() < MAX_WAITING_BYTES

    async def run(self) -> None:
        """Keep connected until cancelled."""
        delay = FIRST_RETRY_SECONDS
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(str(self._path))
            except OSError:
                await self._sleep(delay)
                delay = min(2 * delay, MAX_RETRY_SECONDS)
                continue
            delay = FIRST_RETRY_SECONDS
            try:
                await self._converse(reader, writer)
            finally:
                self._disconnected(writer)
            LOG.warning("control is away; predictions go on")

    def report(self, **content: Any) -> None:
        """Tell control what runs here; replaces what was not sent yet."""
        self._report = pack_frame("report", **content)
        self._unsent = True
        self.flush()

    def flush(self) -> None:
        """Send the latest report if it is still unsent and control keeps up."""
        if self._unsent and self._report is not None and self._send(self._report):
            self._unsent = False

    def request_check(self) -> None:
        """Let control look at rollouts now; it does so now and then anyway."""
        self._send(pack_frame("look"))

    async def metrics(self, accept: str) -> tuple[bytes, bytes]:
        """The exposition of the whole server: content type and body.

        Raises:
            Unavailable: Control is away or does not answer.
        """
        number = next(self._ids)
        answer: asyncio.Future[tuple[bytes, bytes]] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            if self._send(pack_frame("metrics", id=number, accept=accept)):
                async with asyncio.timeout(METRICS_SECONDS):
                    return await answer
        except TimeoutError:
            pass
        finally:
            del self._asked[number]
        raise _away()

    def _send(self, frame: bytes) -> bool:
        if not self.writable:
            return False
        assert self._writer is not None
        self._writer.write(frame)
        return True

    async def _converse(self, reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(self._hello)
        self._writer = writer
        self._unsent = True
        self.flush()
        try:
            while (frame := await read_frame(reader)) is not None:
                self._receive(frame)
        except (BadFrame, ContentError, KeyError, TypeError) as error:
            LOG.warning("control speaks another language: %r", error)

    def _receive(self, frame: dict[str, Any]) -> None:
        if frame["kind"] == "target":
            self._on_target(decode_target(frame["target"]))
        elif frame["kind"] == "metrics":
            answer = self._asked.get(frame["id"])
            if answer is not None and not answer.done():
                answer.set_result((frame["content_type"], frame["body"]))

    def _disconnected(self, writer: StreamWriter) -> None:
        self._writer = None
        writer.transport.abort()  # what waits to be sent waits for nobody
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(_away())


def _away() -> Unavailable:
    message = "the control process, which merges the metrics of all workers, is restarting"
    return Unavailable(message, retry_after_seconds=1)
