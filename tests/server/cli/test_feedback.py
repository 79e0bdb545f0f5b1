"""``penstock feedback``: what it says of an answer that is none of Penstock's."""

from __future__ import annotations

import socket
import threading
from contextlib import closing

import pytest

from penstock.server.cli.main import main

PAGE = b"<html>no such page</html>"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\n" + PAGE, "the server answers 404 Not Found"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n[]", "the server answers 404 Not Found"),
        (
            b"HTTP/1.1 503 Busy\r\nretry-after: Mon, 30 Nov 2026 11:00:00 GMT\r\n\r\n",
            "the server answers 503 Busy",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\n" + PAGE, "{} does not answer as it should: "),
        (b"220 mail.example.com\r\n", "{} does not answer as it should: "),
    ],
)
def test_an_answer_of_another_server_is_told_in_one_line(answer, said, capsys, tmp_path):
    file = tmp_path / "labels.csv"
    file.write_text("request_id,label\nr1,1\n")
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = threading.Thread(target=_answer, args=(listener, answer))
        server.start()
        status = main(["feedback", str(file), "--url", url])
        server.join()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"penstock: {said.format(url)}")
    assert line.endswith("; 0 labels were accepted")
    assert status == 1


def _answer(listener: socket.socket, content: bytes) -> None:
    """Read one request with its body, and answer it."""
    connection, _ = listener.accept()
    with closing(connection):
        request = b""
        while not request.endswith(b"}]"):
            request += connection.recv(65536)
        connection.sendall(content)
