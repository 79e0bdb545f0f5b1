"""A real HTTP server that answers as a tool's published API says, and keeps all requests."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from penstock.monitoring.http_exchange import Exchange
from penstock.server.retrain.targets.contract import Order
from penstock.server.retrain.targets.http_api import HttpApi
from penstock.server.retrain.targets.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    #: Takes a request; gives status and body.
    Handler = Callable[["Asked"], tuple[int, Any]]

TIMEOUT_SECONDS = 30.0


@dataclass
class Asked:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None


@dataclass
class Tool:
    """A server; `handler` may be replaced."""

    handler: Handler = field(default=lambda _: (200, {}))
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    def api(self, secret: Secret | None = None) -> HttpApi:
        return HttpApi(self.url, Exchange(TIMEOUT_SECONDS), secret or Secret(), time.time)


@pytest.fixture
def tool() -> Iterator[Tool]:
    found = Tool()

    class Answering(BaseHTTPRequestHandler):
        def answer(self) -> None:
            size = int(self.headers.get("content-length", 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            one = Asked(self.command, self.path, headers, self.rfile.read(size))
            found.asked.append(one)
            status, body = found.handler(one)
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            if status == 503:
                self.send_header("retry-after", "7")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = answer  # noqa: N815  names of the base class

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def secret(tmp_path: Path) -> Secret:
    path = tmp_path / "secret"
    path.write_text("ann:hunter2-long\n")
    return Secret(path)


@pytest.fixture
def token(tmp_path: Path) -> Secret:
    path = tmp_path / "token"
    path.write_text("hunter2-long\n")
    return Secret(path)


@pytest.fixture
def order() -> Callable[..., Order]:
    def make(key: str = "m-20261130T120000Z-0a1b2c3d", *, again: bool = False) -> Order:
        payload = {
            "run": key, "idempotency_key": key, "model": "m", "version": 3, "digest": "sha256:0",
            "trigger": "drift", "reason": "income drifts", "incident": "drift/m/3//1",
            "by": "retrain", "decided_at": 1e9, "parameters": {"days": 30},
            "data": {"uri": "s3://bucket/m/x.csv", "sha256": "00", "rows": 7},
        }  # fmt: skip
        return Order(key, payload, again, 1e9 + 1, 1e9, 3600.0)

    return make
