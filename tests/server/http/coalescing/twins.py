"""Two servers of one registry in one process, without sockets: one remembers, its twin does not."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from penstock.server import create_app
from penstock.server.codecs import numbers
from penstock.server.config.model_config import ModelConfig
from penstock.server.http.fastpath import FastPathProtocol
from penstock.server.rollout.traffic import Split
from penstock.server.target.plan import ModelPlan

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TIMEOUT_SECONDS = 60.0
_ID = re.compile(rb"x-request-id: (?!mine\r)[^\r]*\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n")


class Transport:
    """Keeps what was written."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def writelines(self, pieces: Sequence[bytes]) -> None:
        self.written += b"".join(pieces)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Connection:
    """A client's end."""

    def __init__(self, server: Server) -> None:
        self.transport = Transport()
        self.protocol = FastPathProtocol(server.config, server.state, dict(server.app_state))
        self.protocol.connection_made(self.transport)  # type: ignore[arg-type]

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.protocol.data_received(piece)

    def close(self) -> None:
        self.protocol.connection_lost(None)

    def answers(self) -> list[bytes]:
        """The complete answers that have come, without their ids; they are taken away."""
        answers = []
        written = self.transport.written
        while (end := written.find(b"\r\n\r\n") + 4) > 3:
            length = _LENGTH.search(written, 0, end - 2)
            assert length is not None
            size = end + int(length[1])
            if len(written) < size:
                break
            answers.append(_ID.sub(b"", bytes(written[:end]), count=1) + written[end:size])
            del written[:size]
        return answers


class Server:
    """A server without sockets, on the running loop."""

    def __init__(self, registry: Path, *, request_caching: bool) -> None:
        self.app = create_app(
            registry, threads=2, request_caching=request_caching, large_body_bytes=8192
        )
        self._lifespan = self.app._routed.router.lifespan_context(self.app._routed)
        self.app_state: Any = None
        self.config = Config(self.app, access_log=False, ws="none", log_config=None)
        self.config.load()
        self.state = ServerState()

    async def start(self) -> None:
        self.app_state = await self._lifespan.__aenter__()

    async def stop(self) -> None:
        await self._lifespan.__aexit__(None, None, None)

    def steer(self, model: str, default: int, split: Split | None = None) -> None:
        """Another version serves a model, or two of them share it."""
        paths: Any = {1: None, 2: None}
        plan = ModelPlan(model, paths, default, {}, ModelConfig(), pinned=True, split=split)
        self.app.engine.host.steer({model: plan})

    async def exchange(self, sent: Sequence[tuple[Connection, int]]) -> list[list[bytes]]:
        """The answers on these connections, so many on each."""
        answers: list[list[bytes]] = [[] for _ in sent]
        end = 0.0
        turns = 0
        while True:
            await asyncio.sleep(0)
            missing = False
            for got, (connection, count) in zip(answers, sent, strict=True):
                if len(got) < count:
                    got.extend(connection.answers())
                    missing |= len(got) < count
            if not missing:
                return answers
            turns += 1
            if turns % 100 == 0:
                end = end or time.monotonic() + TIMEOUT_SECONDS
                assert time.monotonic() < end, f"not answered: {answers}"
                await asyncio.sleep(0.0005)  # a thread has it

    async def ask(self, raw: bytes) -> bytes:
        """The answer to one request on a connection of its own."""
        connection = Connection(self)
        connection.send(raw)
        ((answer,),) = await self.exchange([(connection, 1)])
        connection.close()
        return answer

    async def ask_asgi(self, raw: bytes) -> bytes:
        """The same through the ASGI front end."""
        head, _, body = raw.partition(b"\r\n\r\n")
        line, *lines = head.split(b"\r\n")
        headers = [(n.lower(), v) for n, _, v in (each.partition(b": ") for each in lines)]
        path = line.split(b" ")[1]
        scope = {"type": "http", "method": "POST", "path": path.decode(), "raw_path": path}
        scope |= {"headers": headers, "query_string": b"", "root_path": "", "state": self.app_state}
        incoming = [{"type": "http.request", "body": body, "more_body": False}]
        sent: list[Any] = []

        async def receive() -> Any:
            return incoming.pop() if incoming else await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)  # type: ignore[arg-type]
        start, content = sent
        lines = [b"%b: %b\r\n" % pair for pair in start["headers"]]
        text = b"HTTP/1.1 %d\r\n%b\r\n" % (start["status"], b"".join(lines))
        return _ID.sub(b"", text, count=1) + content["body"]


class Twins:
    """The server that remembers, and the plain one.

    Attributes:
        server: Remembers.
        plain: Remembers nothing, and reads all JSON with one parser.
    """

    def __init__(self, registry: Path) -> None:
        self.server = Server(registry, request_caching=True)
        self.plain = Server(registry, request_caching=False)
        self._expected: dict[bytes, bytes] = {}

    async def start(self) -> None:
        await self.server.start()
        await self.plain.start()
        self.steer("split", 1, Split("fuzz", 2, 50.0, sticky="x-user", fallback=False))

    async def stop(self) -> None:
        await self.server.stop()
        await self.plain.stop()

    def steer(self, model: str, default: int, split: Split | None = None) -> None:
        """Let both serve another version."""
        self.server.steer(model, default, split)
        self.plain.steer(model, default, split)
        self._expected.clear()

    async def expected(self, raw: bytes) -> bytes:
        """What the plain server answers, asked for this request alone."""
        answer = self._expected.get(raw)
        if answer is None:
            if len(self._expected) > 10_000:
                self._expected.clear()
            available, numbers.AVAILABLE = numbers.AVAILABLE, False  # type: ignore[misc]
            try:
                answer = self._expected[raw] = await self.plain.ask(raw)
            finally:
                numbers.AVAILABLE = available  # type: ignore[misc]
        return answer
