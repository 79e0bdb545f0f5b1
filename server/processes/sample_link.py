"""The worker's end of the stream of samples: straight to the monitor, never in anybody's way.

What the monitor has acknowledged is forgotten; everything else is sent again after a reconnect, see
`penstock.monitoring.outgoing`. While the monitor is away or does not keep up, frames wait there.
"""

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

    from penstock.monitoring.outgoing import Outgoing

LOG = logging.getLogger("penstock.samples")

FIRST_RETRY_SECONDS: Final = 0.02
MAX_RETRY_SECONDS: Final = 1.0
#: Bytes waiting in our end of the socket above which nothing more is put in.
MAX_WAITING_BYTES: Final = 1 << 20


class SampleLink:
    """Connects to the monitor, again and again, and sends what is outgoing.

    Args:
        path: The monitor's socket.
        process: Name of this process.
        incarnation: Unique name of this life of it.
        outgoing: The frames.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        path: Path,
        process: str,
        incarnation: str,
        outgoing: Outgoing,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._path = path
        self._hello = pack_frame("hello", process=process, incarnation=incarnation)
        self._outgoing = outgoing
        self._sleep = sleep
        self._writer: StreamWriter | None = None
        self._acknowledged = asyncio.Event()

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
                self._writer = None
                writer.transport.abort()
            LOG.warning("the monitor is away; predictions go on, samples wait")

    def send(self, rows: dict[tuple[str, str], int], payload: bytes) -> None:
        """Queue one frame of samples and send what can be sent.

        Args:
            rows: How many rows of each model and version are in it.
            payload: What `penstock.monitoring.sample_frames` made.
        """
        number = self._outgoing.next_number()
        counts = [[model, version, count] for (model, version), count in rows.items()]
        frame = pack_frame("samples", number=number, rows=counts, payload=payload)
        self._outgoing.add(frame, rows)
        self.pump()

    def pump(self) -> None:
        """Put into the socket what waits, as long as the monitor keeps up."""
        writer = self._writer
        while writer is not None and writer.transport.get_write_buffer_size() < MAX_WAITING_BYTES:
            frame = self._outgoing.unsent()
            if frame is None:
                return
            writer.write(frame)

    async def wait_acknowledged(self, timeout_seconds: float) -> None:
        """Wait until the monitor has everything, for so long at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while not self._outgoing.empty:
                    self._acknowledged.clear()
                    await self._acknowledged.wait()

    async def _converse(self, reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(self._hello)
        try:
            while (frame := await read_frame(reader)) is not None:
                self._receive(frame, writer)
        except (BadFrame, KeyError, TypeError) as error:
            LOG.warning("the monitor speaks another language: %r", error)

    def _receive(self, frame: dict[str, Any], writer: StreamWriter) -> None:
        self._outgoing.acknowledge(frame["number"])
        self._acknowledged.set()
        if self._writer is None:  # the answer to our hello: now we know where it stands
            self._outgoing.rewind()
            self._writer = writer
        self.pump()
