"""uvicorn's server without its ten wake-ups a second, for sockets and signals that we own."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import contextmanager
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import uvicorn

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from uvicorn.config import Config

#: Past the second by a little, so that the clock surely shows the new one.
_MARGIN_SECONDS = 0.001
#: How often newcomers are looked for while draining.
_DRAIN_SECONDS = 0.05


class HttpServer(uvicorn.Server):
    """Wakes once per second for the date header, and at SIGTERM to drain and stop.

    Args:
        config: uvicorn's.
        on_second: Called every second with the lateness of the call in nanoseconds.
        stopping: Is set when the server is told to stop, for answers that would go on.
    """

    def __init__(
        self,
        config: Config,
        on_second: Callable[[int], None],
        stopping: asyncio.Event | None = None,
    ) -> None:
        super().__init__(config)
        self._on_second = on_second
        self._timer: asyncio.TimerHandle | None = None
        self._drain_timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self.stopping = stopping or asyncio.Event()

    def stop(self) -> None:
        """Stop accepting, drain, and return from `serve`."""
        self.should_exit = True
        self.stopping.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Called by uvicorn around everything."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stop)
        # The supervisor started us with it blocked: one that came early is delivered here.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))
        if not self.config.loaded:
            self.config.load()
        self._due = loop.time()
        self._every_second()
        try:
            yield
        finally:
            if self._timer is not None:
                self._timer.cancel()
            loop.remove_signal_handler(signal.SIGTERM)

    async def main_loop(self) -> None:
        """Called by uvicorn between startup and shutdown."""
        await self.stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Called by uvicorn at the end; drains connections accepted at the very last moment, too.

        uvicorn tells the connections that it has; one whose accept was under way is made after
        that, and its client could keep it busy until the drain is given up.
        """
        self._drain_newcomers(set(self.server_state.connections))
        try:
            await super().shutdown(sockets)
        finally:
            if self._drain_timer is not None:
                self._drain_timer.cancel()

    def _drain_newcomers(self, told: set[Any]) -> None:
        loop = asyncio.get_running_loop()
        self._drain_timer = loop.call_later(_DRAIN_SECONDS, self._drain_newcomers, told)
        for connection in self.server_state.connections - told:
            told.add(connection)
            connection.shutdown()

    def _every_second(self) -> None:
        loop = asyncio.get_running_loop()
        late = loop.time() - self._due
        now = time.time()
        wait = 1 - now % 1 + _MARGIN_SECONDS
        self._due = loop.time() + wait
        # First of all: whatever fails in this second, there is a next one.
        self._timer = loop.call_at(self._due, self._every_second)
        date = (b"date", formatdate(now, usegmt=True).encode())
        self.server_state.default_headers = [date, *self.config.encoded_headers]
        self._on_second(int(late * 1e9))
