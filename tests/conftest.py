"""Real servers for the tests: uvicorn on a free port, in a thread of its own."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys
import threading
from collections import Counter
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self, TypeVar

# NumPy reads it when it is loaded. Threads that multiply small matrices together mostly wait for
# each other, and other tests run on the other processors.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
# The tests start hundreds of processes of the same sources: each file is compiled once.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import onnx
import pytest
import uvicorn
import uvloop
from hypothesis import HealthCheck, settings
from onnx import TensorProto, helper

from penstock.monitoring.metrics.merge import snapshot
from penstock.runtimes.telemetry import switch_off
from penstock.server.cli.main import build_command
from penstock.server.config.config import ServerConfig
from penstock.server.http.fastpath import FastPathProtocol
from penstock.server.http.single import create_app

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

T = TypeVar("T")

sys.dont_write_bytecode = False
switch_off()  # tests import onnxruntime by themselves

# On a busy machine an example takes as long as it takes: that says nothing of what is tested.
settings.register_profile(
    "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("patient")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first, so that no process ends with a long one."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: (-slow[item.path], "simulation" not in item.path.parts))


HOST = "127.0.0.1"
#: How long a test waits for what must come; never how long it takes.
TIMEOUT_SECONDS = 60.0

#: The front ends by name, as uvicorn's ``http`` option.
FRONTENDS: dict[str, Any] = {"fast": FastPathProtocol, "asgi": "httptools"}
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


class LiveServer:
    """A server of one registry. Use as a context manager; ``app.engine`` is there inside.

    Args:
        registry: What it serves.
        frontend: ``fast`` or ``asgi``.
        loop: ``asyncio`` or ``uvloop``.
        uvicorn_options: As `uvicorn.Config` has them.
        options: As `penstock.server.config.config.ServerConfig` has them.
    """

    def __init__(
        self,
        registry: Path,
        frontend: str = "fast",
        loop: str = "asyncio",
        uvicorn_options: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self.frontend = frontend
        # Models of tests are sound: a process for each first load would cost most of the time.
        self.app = create_app(registry, **{"load_trials": False, **options})
        settings: dict[str, Any] = {
            "access_log": False,
            "http": FRONTENDS[frontend],
            "lifespan": "on",
            "log_config": None,
            "server_header": False,
            "ws": "none",
            **(uvicorn_options or {}),
        }
        self.server = uvicorn.Server(uvicorn.Config(self.app, **settings))
        self.tls = "ssl_certfile" in settings
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._loop_factory = LOOPS[loop]
        self._thread = threading.Thread(target=self._run, name=f"server-{frontend}")

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=self._loop_factory) as runner:
            self.loop = runner.get_loop()
            runner.run(self.server.serve([self._listener]))

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            with self.connect() as client:  # answered once the lifespan has started
                client.send(b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n")
                assert client.answer().status == 200
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join(TIMEOUT_SECONDS)
        assert not self._thread.is_alive(), "the server does not stop"
        self._listener.close()

    def stop(self) -> None:
        """What SIGTERM does: stop listening, finish what was accepted, leave."""
        self.server.should_exit = True

    def connect(self, *, receive_buffer: int | None = None) -> Client:
        """A connection; ``receive_buffer`` makes it one that takes little at a time."""
        connection = socket.socket()
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(TIMEOUT_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.connect((HOST, self.port))
        if self.tls:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            connection = context.wrap_socket(connection)
        return Client(connection)

    def ask(self, raw: bytes) -> Answer:
        """The answer to one request on a connection of its own."""
        with self.connect() as client:
            client.send(raw)
            return client.answer()

    def on_loop(self, function: Callable[[], T]) -> T:
        """Call the function on the server's loop, between two of its callbacks."""

        async def call() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(call(), self.loop).result(TIMEOUT_SECONDS)


class GrpcServer:
    """A gRPC port on the loop of a running `LiveServer`, over its inference path.

    Args:
        server: The running server.
        options: As `penstock.server.config.config.ServerConfig` has them.
    """

    def __init__(self, server: LiveServer, **options: Any) -> None:
        self.server = server
        self._config = ServerConfig(**{"max_body_bytes": 1 << 22, **options})
        self._stopped = False
        self.grace_seconds = 0.5

    def __enter__(self) -> Self:
        self.port, number = self._run(self._open())
        self.address = f"{HOST}:{number}"
        return self

    def __exit__(self, *_: object) -> None:
        if not self._stopped:
            self.stop()

    def stop(self) -> None:
        """Drain, as a worker does at SIGTERM."""
        self._stopped = True
        self._run(self.port.close(self.grace_seconds))

    async def _open(self) -> tuple[Any, int]:
        from penstock.server.grpc.grpc_port import GrpcPort  # few tests need gRPC

        engine = self.server.app.engine
        figures = partial(snapshot, engine.counters)
        port = GrpcPort(engine.port, engine.catalog, self._config, figures)
        return port, await port.open(f"{HOST}:0")

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.server.loop).result(TIMEOUT_SECONDS)


class Answer:
    """One HTTP response as it came."""

    def __init__(self, head: bytes, body: bytes) -> None:
        status_line, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(status_line.split(" ")[1])
        pairs = (line.partition(": ") for line in lines)
        self.header_list = [(name, value) for name, _, value in pairs]
        self.headers = dict(self.header_list)
        self.head = head
        self.body = body

    def __repr__(self) -> str:
        return f"Answer({self.head!r}, {self.body[:300]!r})"


class Client:
    """A raw connection: sends any bytes, reads one answer after the other."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *pieces: bytes) -> Self:
        """Send pieces, each in a segment of its own."""
        for piece in pieces:
            self.socket.sendall(piece)
        return self

    def answer(self) -> Answer:
        """The next final answer; raises `EOFError` if the connection ends instead."""
        head = self._until(b"\r\n\r\n")
        while head.startswith(b"HTTP/1.1 100"):
            head = self._until(b"\r\n\r\n")
        answer = Answer(head, b"")
        if "content-length" in answer.headers:
            answer.body = self.take(int(answer.headers["content-length"]))
        return answer

    def take(self, size: int) -> bytes:
        """The next so many bytes."""
        while len(self.received) < size:
            self._more()
        taken, self.received = self.received[:size], self.received[size:]
        return taken

    def rest(self) -> bytes:
        """Everything until the server closes the connection; a reset counts as well."""
        try:
            while True:
                self._more()
        except (EOFError, ConnectionResetError):
            rest, self.received = self.received, b""
            return rest

    def closed(self) -> bool:
        """Waits until the server closes; whether it did so without another byte."""
        return self.rest() == b""

    def _until(self, mark: bytes) -> bytes:
        while mark not in self.received:
            self._more()
        before, _, self.received = self.received.partition(mark)
        return before

    def _more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise EOFError(f"closed after {self.received[:300]!r}")
        self.received += data


Tensor = tuple[str, str, "Sequence[int | str] | None"]


def write_onnx(
    path: Path,
    nodes: Sequence[tuple[Any, ...]],
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    initializers: Sequence[onnx.TensorProto] = (),
) -> Path:
    """Write a model of nodes ``(op, inputs, outputs[, attributes])`` and declared tensors."""
    declared = [
        [helper.make_tensor_value_info(n, getattr(TensorProto, t), s) for n, t, s in tensors]
        for tensors in (inputs, outputs)
    ]
    made = [
        helper.make_node(op, given, out, **(rest[0] if rest else {}))
        for op, given, out, *rest in nodes
    ]
    graph = helper.make_graph(made, "test", *declared, initializer=list(initializers))
    opsets = [helper.make_opsetid("", 18)]
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return path


@pytest.fixture(scope="session")
def onnx_file() -> Callable[..., Path]:
    return write_onnx


@pytest.fixture(scope="session")
def live_server() -> type[LiveServer]:
    return LiveServer


@pytest.fixture(scope="session")
def grpc_server() -> type[GrpcServer]:
    return GrpcServer


@pytest.fixture(scope="session")
def examples_registry() -> Path:
    return Path(__file__).resolve().parents[1] / "examples" / "registry"


@pytest.fixture(scope="session")
def parsed() -> Callable[[Sequence[str]], SimpleNamespace]:
    """Reads a command line; the values of its options, and ``run``, which is not called."""

    def parse(arguments: Sequence[str]) -> SimpleNamespace:
        verb: Any = build_command()
        words = list(arguments)
        while words and words[0] in getattr(verb, "commands", {}):
            verb = verb.commands[words.pop(0)]
        with verb.make_context(verb.name, words) as context:
            return SimpleNamespace(**context.params, run=verb.callback)

    return parse
