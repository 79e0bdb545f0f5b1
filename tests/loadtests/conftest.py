"""A tiny HTTP server in threads whose every answer the test decides."""

from __future__ import annotations

import itertools
import socket
import threading
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, BinaryIO, Self

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    #: Request number, head and body to the bytes to send back; ``None`` hangs up, empty is silence.
    Answer = Callable[[int, bytes, bytes], bytes | None]


def _head(stream: BinaryIO) -> bytes:
    """Everything up to the empty line; empty at the end of the connection."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline()
        if not line:
            return b""
        head += line
    return head


class TinyServer:
    """Counts requests and connections; sends whatever ``answer`` returns, in small fragments."""

    def __init__(self, answer: Answer, fragment_bytes: int) -> None:
        self._answer = answer
        self._fragment_bytes = fragment_bytes
        self._numbers = itertools.count()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self.requests = 0
        self.connections = 0
        self.port = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the accepting thread, which is the
        self._threads[0].join(10)  # only one that adds sockets and threads
        for connection in self._sockets:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join(10)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._sockets.append(connection)
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream, suppress(OSError):
            while head := _head(stream):
                length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
                body = stream.read(int(length or 0))
                self.requests += 1
                answer = self._answer(next(self._numbers), head, body)
                if answer is None:
                    return
                for start in range(0, len(answer), self._fragment_bytes):
                    connection.sendall(answer[start : start + self._fragment_bytes])


@pytest.fixture
def tiny_server() -> Iterator[Callable[..., TinyServer]]:
    with ExitStack() as stack:

        def start(answer: Answer, fragment_bytes: int = 1 << 20) -> TinyServer:
            return stack.enter_context(TinyServer(answer, fragment_bytes))

        yield start


@pytest.fixture
def unused_port() -> Iterator[int]:
    """Bound but not listened on, so that nobody else can take it meanwhile."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.fixture
def reply() -> Callable[..., bytes]:
    def make(body: bytes, status: int = 200, headers: str = "") -> bytes:
        head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
        return head.encode() + body

    return make
