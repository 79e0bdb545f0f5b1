"""A real receiver: an HTTP server on this machine that answers as it is told, and remembers."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from penstock.monitoring.alerts.alert import Alert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """Answers are taken in order; the last one is given for ever."""

    url: str = ""
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    hang: threading.Event = field(default_factory=threading.Event)
    slow: bool = False

    def answer(
        self, *statuses: int, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> None:
        self.answers.extend((status, headers or {}, body) for status in statuses)

    def take(self, received: Received) -> tuple[int, dict[str, str], bytes]:
        self.received.append(received)
        if not self.answers:
            return 200, {}, b"ok"
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    it = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {key.lower(): value for key, value in self.headers.items()}
            status, more, content = it.take(Received(self.path, headers, body))
            if it.slow:
                it.hang.wait(60)
                return
            self.send_response(status)
            for key, value in more.items():
                self.send_header(key, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    it.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield it
    it.hang.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def an_alert() -> Callable[..., Alert]:
    def make(episode: str = "drift/churn/3//age/17", **changes: Any) -> Alert:
        fields: dict[str, Any] = {
            "kind": "drift",
            "model": "churn",
            "version": "3",
            "subject": "age",
            "severity": "warning",
            "opened": True,
            "episode": episode,
            "time": 1_930_000_000.5,
            "summary": "input age of churn version 3 drifts: PSI 0.31 & <p> 1e-9",
            "evidence": {"psi": 0.31, "rows": 500},
        }
        return Alert(**(fields | changes))

    return make
