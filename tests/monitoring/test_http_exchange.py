"""One request: what comes back, what does not, and how long that may take."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest

from penstock.monitoring.http_exchange import MAX_ANSWER_BYTES, Answer, Exchange, NoAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def plain(head: bytes, body: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(head + b"\r\n\r\n" + body)


def trickle(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(0.02)


@pytest.fixture
def answered() -> Iterator[Callable[[Callable[[socket.socket], None]], Answer]]:
    """The answer of a server that does this with its only connection."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"

        def ask(serve: Callable[[socket.socket], None]) -> Answer:
            def accept() -> None:
                connection, _ = listener.accept()
                with connection:
                    asked = b""
                    while not asked.endswith(b"{}"):
                        asked += connection.recv(65536)
                    with suppress(OSError):  # who asked has seen enough
                        serve(connection)

            thread = threading.Thread(target=accept)
            thread.start()
            try:
                return Exchange(0.5).send("POST", url, b"{}", {}, 0.0)
            finally:
                thread.join()

        yield ask


def test_status_body_and_the_wish_to_wait(answered: Callable[..., Answer]) -> None:
    found = answered(plain(b"HTTP/1.1 503 No\r\nretry-after: 7\r\ncontent-length: 5", b"l\na\nt"))
    assert (found.status, found.done, found.retry_after) == (503, False, 7.0)
    assert found.line() == "503 l a t"


def test_a_redirect_is_not_followed(answered: Callable[..., Answer]) -> None:
    found = answered(plain(b"HTTP/1.1 302 Go\r\nlocation: http://127.0.0.1:9/", b""))
    assert (found.status, found.done) == (302, False)


def test_a_large_answer_is_cut(answered: Callable[..., Answer]) -> None:
    found = answered(plain(b"HTTP/1.1 200 OK", b"x" * (MAX_ANSWER_BYTES + 10)))
    assert len(found.content) == MAX_ANSWER_BYTES


def test_an_answer_that_comes_byte_by_byte_is_not_waited_for(
    answered: Callable[..., Answer],
) -> None:
    assert 0 < len(answered(trickle).content) < 1000


def test_what_is_no_http_is_no_answer(answered: Callable[..., Answer]) -> None:
    with pytest.raises(NoAnswer, match="BadStatusLine"):
        answered(lambda connection: connection.sendall(b"hello\r\n"))
    with pytest.raises(NoAnswer, match="no http:// or https://"):
        Exchange(0.5).send("GET", "file:///etc/passwd", None, {}, 0.0)
