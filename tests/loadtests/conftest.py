"""A tiny HTTP server in a thread whose every answer the test decides."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    #: Request number, head and body to the bytes to send back; ``None`` hangs up, empty is silence.
    Answer = Callable[[int, bytes, bytes], bytes | None]


class TinyServer:
    """Counts requests and connections; sends whatever ``answer`` returns, in small fragments."""

    def __init__(self, answer: Answer, fragment_bytes: int) -> None:
        self._answer = answer
        self._fragment_bytes = fragment_bytes
        self.requests = 0
        self.connections = 0
        self.port = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
                body = await reader.readexactly(int(length or 0))
                number, self.requests = self.requests, self.requests + 1
                answer = self._answer(number, head, body)
                if answer is None:
                    return
                for start in range(0, len(answer), self._fragment_bytes):
                    writer.write(answer[start : start + self._fragment_bytes])
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@contextmanager
def serve(answer: Answer, fragment_bytes: int) -> Iterator[TinyServer]:
    server = TinyServer(answer, fragment_bytes)
    started = threading.Event()
    stop: list[Callable[[], None]] = []

    async def main() -> None:
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        stop.append(lambda: loop.call_soon_threadsafe(stopped.set))
        listening = await asyncio.start_server(server.handle, "127.0.0.1", 0)
        server.port = listening.sockets[0].getsockname()[1]
        started.set()
        await stopped.wait()
        listening.close()
        for writer in server.writers:
            writer.close()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    try:
        assert started.wait(10)
        yield server
    finally:
        stop[0]()
        thread.join(10)


@pytest.fixture
def tiny_server() -> Iterator[Callable[..., TinyServer]]:
    with ExitStack() as stack:

        def start(answer: Answer, fragment_bytes: int = 1 << 20) -> TinyServer:
            return stack.enter_context(serve(answer, fragment_bytes))

        yield start


@pytest.fixture
def reply() -> Callable[..., bytes]:
    def make(body: bytes, status: int = 200, headers: str = "") -> bytes:
        head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
        return head.encode() + body

    return make


@pytest.fixture
def unused_port() -> Iterator[int]:
    """Bound but not listened on, so that nobody else can take it meanwhile."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]
