"""The connection around the messages: slow and vanishing clients, time limits, drain, TLS, log."""

from __future__ import annotations

import json
import logging
import socket
import ssl
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Make = "Callable[..., bytes]"


def eventually(condition: Callable[[], bool]) -> None:
    """Polls what nothing announces."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.005)


def connections(server: Any) -> list[Any]:
    return list(server.server.server_state.connections)


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def impatient(serve: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Short time limits, on both event loops."""
    limits = {
        "header_timeout_seconds": 0.2,
        "body_timeout_seconds": 0.3,
        "keep_alive_seconds": 0.4,
    }
    with serve(loop=request.param, **limits) as server:
        yield server


# -- time limits ---------------------------------------------------------------------------------


def test_headers_that_do_not_arrive(impatient: Any, post: Make) -> None:
    with impatient.connect() as client:
        answer = client.send(post()[:30]).answer()
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert "headers did not arrive in time" in json.loads(answer.body)["error"]
        assert client.closed()


def test_headers_that_drip(impatient: Any, post: Make) -> None:
    """Each byte comes in time, the whole does not."""
    stop = threading.Event()
    with impatient.connect() as client:

        def drip() -> None:
            with suppress(OSError):
                for byte in post("echo", None, f"x: {'a' * 10_000}"):
                    client.send(bytes([byte]))
                    if stop.wait(0.02):
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        answer = client.answer()
        stop.set()
        thread.join()
        assert answer.status == 408


def test_a_body_that_does_not_arrive(impatient: Any, post: Make) -> None:
    with impatient.connect() as client:
        answer = client.send(post("echo", None, "x-request-id: slow", length=500)).answer()
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert answer.headers["x-request-id"] == "slow"
        assert "body did not arrive in time" in json.loads(answer.body)["error"]
        assert client.closed()


def test_a_body_that_does_not_arrive_at_the_asgi_door(serve: Any, post: Make) -> None:
    with serve("asgi", body_timeout_seconds=0.2) as server, server.connect() as client:
        assert client.send(post("echo", None, length=500)).answer().status == 408


def test_idle_connections_are_closed(impatient: Any, post: Make, get: Make) -> None:
    for raw in (b"", post(), get("/v2")):
        with impatient.connect() as client:
            if raw:
                assert client.send(raw).answer().status == 200
            assert client.closed()


def test_a_slow_model_is_no_idle_connection(impatient: Any, held: Make, gate: Any) -> None:
    with impatient.connect() as client:
        client.send(held(1000.0))
        gate.wait_until_held()
        threading.Timer(1.0, gate.open.set).start()  # longer than every limit
        assert client.answer().status == 200


def test_a_client_that_does_not_read_is_dropped(impatient: Any, post: Make, body: Make) -> None:
    with impatient.connect(receive_buffer=4096) as client:
        client.send(post("wide", body([[1.0]])) * 60)
        eventually(lambda: not connections(impatient))


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_client_that_reads_slowly_gets_everything(
    serve: Any, post: Make, body: Make, loop: str
) -> None:
    """It takes several times the limit, but never stops for as long as the limit.

    The time is the test's: it passes while the client reads, in looks at the connection.
    """
    count, limit = 30, 300.0
    with (
        serve(loop=loop, body_timeout_seconds=limit) as server,
        server.connect(receive_buffer=4096) as client,
    ):
        here = client.socket.getsockname()
        eventually(lambda: here in [one.client for one in connections(server)])
        connection = next(one for one in connections(server) if one.client == here)
        wire = connection.transport.get_extra_info("socket")
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        server.on_loop(server.app.engine.port.sweeper.close)
        client.send(post("wide", body([[1.0]])) * (count - 1))
        client.send(post("wide", body([[1.0]]), "connection: close"))
        began = now = connection.clock()

        def look() -> None:
            nonlocal now
            if connection.transport.get_write_buffer_size() not in {0, connection.unsent_bytes}:
                now += 0.8 * limit
                connection.sweep(now)

        received = bytearray()
        while data := client.socket.recv(65_536):  # until the server closes
            received += data
            server.on_loop(look)
        assert received.count(b"HTTP/1.1 200 OK\r\n") == count
        assert len(received) > count * 200_000
        assert now - began > 3 * limit


def test_a_refused_client_that_does_not_close_is_dropped(serve: Any, post: Make) -> None:
    with serve(keep_alive_seconds=0.4) as server:
        port = server.app.engine.port
        port.limits = replace(port.limits, linger_seconds=0.1)
        with server.connect() as client:
            assert client.send(post("echo", None, "connection: close")).answer().status == 200
            eventually(lambda: not connections(server))


# -- slow readers --------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_client_that_does_not_read_is_not_read(
    serve: Any, post: Make, body: Make, get: Make, loop: str
) -> None:
    """However much it asks for: what waits for it stays bounded, and others are served."""
    flood = (post("wide", body([[1.0]])) * 20 + get("/v2")) * 100  # answers of 400 MB
    with serve(loop=loop) as server, server.connect(receive_buffer=4096) as client:
        client.socket.setblocking(False)  # noqa: FBT003
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        sent = 0

        def push() -> bool:
            nonlocal sent
            with suppress(BlockingIOError):
                while sent < len(flood):
                    sent += client.socket.send(flood[sent:])
            return any(
                one.flow.read_paused and one.flow.write_paused and not one.calls
                for one in server.on_loop(lambda: connections(server))
            )

        eventually(push)
        (flooded,) = connections(server)
        waiting = server.on_loop(flooded.transport.get_write_buffer_size)
        assert 0 < waiting < 100 * 250_000
        assert len(flooded.backlog) < len(flood)
        assert server.ask(post()).status == 200
        client.socket.settimeout(60)
        answers = [client.answer() for _ in range(300)]  # and it may start to read any time
        assert {answer.status for answer in answers} == {200}
        assert [i for i, answer in enumerate(answers[:63]) if len(answer.body) < 1000] == [
            20,
            41,
            62,
        ]


# -- clients that leave --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fast", "asgi"])
def test_what_a_client_left_behind_is_not_executed(
    servers: dict[str, Any], held: Make, gate: Any, name: str
) -> None:
    server = servers[name]
    blockers = [server.connect().send(held(1000.0 + i)) for i in range(2)]
    for _ in blockers:
        gate.wait_until_held()
    leaver, stayer = server.connect(), server.connect()
    leaver.send(held(1.0) + held(2.0) if name == "fast" else held(1.0))
    stayer.send(held(3.0))
    (queue,) = [
        servable.scheduled
        for servable in server.app.engine.catalog.models["gate"].versions.values()
    ]
    eventually(lambda: queue.waiting_rows == (3 if name == "fast" else 2))
    leaver.socket.close()
    eventually(lambda: queue.waiting_rows == 1)
    gate.open.set()
    for client in (*blockers, stayer):
        assert client.answer().status == 200
        client.socket.close()
    assert sorted(gate.executed) == [3.0, 1000.0, 1001.0]


def test_a_client_that_leaves_in_the_middle_of_a_request(fast: Any, post: Make) -> None:
    for cut in (1, 40, len(post()) - 1):
        with fast.connect() as client:
            client.send(post()[:cut])
        with fast.connect() as client:
            client.send(post("echo", None, length=200_000)[: cut + 60])
            client.socket.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
            )  # a reset, not an end
    eventually(lambda: not connections(fast))
    assert fast.ask(post()).status == 200


# -- drain ---------------------------------------------------------------------------------------


class ClosedLoop(threading.Thread):
    """Sends the next request as soon as the last is answered, until it is told to stop."""

    def __init__(self, server: Any, raw: bytes, started: threading.Semaphore) -> None:
        super().__init__()
        self.answers: list[Any] = []
        self.left_over: bytes | None = None  # received of an answer that never ended
        self._server, self._raw, self._answered = server, raw, started

    def run(self) -> None:
        with self._server.connect() as client:
            while True:
                try:
                    self.answers.append(client.send(self._raw).answer())
                except (EOFError, ConnectionError):
                    self.left_over = client.received
                    return
                self._answered.release()
                if self.answers[-1].headers.get("connection") == "close":
                    assert client.closed()
                    return


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("name", ["fast", "asgi"])
def test_a_drain_under_load_loses_nothing(
    serve: Any, post: Make, body: Make, held: Make, gate: Any, name: str, loop: str
) -> None:
    gate.open.set()
    started = threading.Semaphore(0)
    with serve(name, loop=loop) as server:
        clients = [
            ClosedLoop(server, held(i) if i % 2 else post("echo", body([[i, 0.0]])), started)
            for i in range(8)
        ]
        for client in clients:
            client.start()
        for _ in range(100):
            assert started.acquire(timeout=60)
        server.stop()
        for client in clients:
            client.join(20)
            assert not client.is_alive()
    for i, client in enumerate(clients):
        assert {json.loads(answer.body)["outputs"][0]["data"][0] for answer in client.answers} <= {
            float(i)
        }
        if name == "fast":  # says so before it closes
            assert client.left_over is None
        else:  # uvicorn's own class closes between two requests without a word
            assert not client.left_over


def test_a_drain_waits_for_what_has_begun(serve: Any, post: Make, held: Make, gate: Any) -> None:
    """One request runs, one waits, one is half sent; an idle client may still ask once."""
    with serve() as server:
        port = server.app.engine.port
        port.limits = replace(port.limits, drain_grace_seconds=20.0)
        runs, idle, half = server.connect(), server.connect(), server.connect()
        runs.send(held(1000.0) + held(1.0))
        gate.wait_until_held()
        assert idle.send(post()).answer().status == 200
        half.send(post()[:50])
        eventually(lambda: any(one.receiving for one in connections(server)))
        server.stop()
        eventually(lambda: all(one.draining for one in connections(server)))
        for client, raw in ((idle, post()), (half, post()[50:])):
            answer = client.send(raw).answer()
            assert (answer.status, answer.headers["connection"]) == (200, "close")
        gate.open.set()
        first, last = runs.answer(), runs.answer()
        assert (first.status, first.headers.get("connection")) == (200, None)
        assert (last.status, last.headers["connection"]) == (200, "close")
        for client in (runs, idle, half):
            assert client.closed()
            client.socket.close()


def test_a_drain_answers_pages(serve: Any, get: Make) -> None:
    with serve() as server, server.connect() as client:
        assert client.send(get("/v2")).answer().status == 200
        server.stop()
        eventually(lambda: connections(server)[0].draining)
        answer = client.send(get("/v2")).answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert client.closed()


# -- deadlines and overload ----------------------------------------------------------------------


@pytest.mark.parametrize("way", ["header", "parameter", "both"])
def test_a_deadline_that_passes_in_the_queue_is_504(
    any_server: Any, held: Make, gate: Any, post: Make, way: str
) -> None:
    lines = {"parameter": [], "both": ["x-request-timeout-ms: 60000"]}.get(
        way, ["x-request-timeout-ms: 50"]
    )
    content = json.loads(held(1.0).partition(b"\r\n\r\n")[2])
    if way != "header":
        content["parameters"] = {"timeout": 50_000}  # microseconds; the shorter one counts
    blockers = [any_server.connect().send(held(1000.0 + i)) for i in range(2)]
    for _ in blockers:
        gate.wait_until_held()
    answer = any_server.ask(post("gate", json.dumps(content).encode(), *lines))
    assert answer.status == 504
    assert answer.headers["x-error-code"] == "deadline_exceeded"
    assert "deadline" in json.loads(answer.body)["error"]
    gate.open.set()
    for client in blockers:
        assert client.answer().status == 200
        client.socket.close()
    assert 1.0 not in gate.executed


def test_overload_is_503_and_says_when_to_come_back(any_server: Any, held: Make, gate: Any) -> None:
    blockers = [any_server.connect().send(held(1000.0 + i, "tiny")) for i in range(2)]
    for _ in blockers:
        gate.wait_until_held()
    (queue,) = [s.scheduled for s in any_server.app.engine.catalog.models["tiny"].versions.values()]
    waiting = [any_server.connect().send(held(float(i), "tiny")) for i in range(2)]
    eventually(lambda: queue.waiting_rows == 2)
    refused = any_server.ask(held(9.0, "tiny"))
    assert refused.status == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert "queue_full" in json.loads(refused.body)["error"]
    gate.open.set()
    for client in (*blockers, *waiting):
        assert client.answer().status == 200
        client.socket.close()
    assert 9.0 not in gate.executed
    assert any_server.ask(held(5.0, "tiny")).status == 200


# -- TLS -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("tls")
    key, chain = folder / "key.pem", folder / "chain.pem"
    made = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost"
    command = ["openssl", *made.split(), "-days", "2", "-keyout", key, "-out", chain]
    subprocess.run(command, check=True, capture_output=True)
    return str(chain), str(key)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_tls(
    serve: Any, certificate: tuple[str, str], post: Make, body: Make, get: Make, loop: str
) -> None:
    chain, key = certificate
    options = {"ssl_certfile": chain, "ssl_keyfile": key}
    with serve(loop=loop, uvicorn_options=options, max_body_bytes=300_000) as server:
        with server.connect() as client:
            assert isinstance(client.socket, ssl.SSLSocket)
            for _ in range(2):
                assert client.send(post()).answer().status == 200
            client.send(post("wide", body([[1.0]])) * 3 + get("/v2"))
            assert [client.answer().status for _ in range(4)] == [200] * 4
            assert client.send(post("echo", b" ", length=300_001)).answer().status == 413
            client.rest()
        with server.connect() as client:
            assert client.send(post("echo", None, "connection: close")).answer().status == 200
            assert client.closed()


# -- the access log ------------------------------------------------------------------------------


def test_the_access_log_is_the_same_at_both_doors(
    serve: Any, post: Make, get: Make, caplog: pytest.LogCaptureFixture
) -> None:
    from uvicorn.logging import AccessFormatter

    requests = [
        post(),
        post("/v2/models/%65cho/versions/1/infer"),
        post("a%0d%0ab"),
        post("echo", b""),
        get("/v2"),
        get("/v2/models/nobody"),
    ]
    format_line = AccessFormatter('"%(request_line)s" %(status_code)s', use_colors=False).format
    lines = {}
    caplog.set_level(logging.INFO, "uvicorn.access")
    for name in ("fast", "asgi"):
        with serve(name, uvicorn_options={"access_log": True}) as server:
            caplog.clear()
            for raw in requests * 2:
                server.ask(raw)
            records = [record for record in caplog.records if record.name == "uvicorn.access"]
            assert all(str(record.args[0]).startswith("127.0.0.1:") for record in records)
            lines[name] = [format_line(record) for record in records]
    assert (
        lines["fast"]
        == [
            '"POST /v2/models/echo/infer HTTP/1.1" 200 OK',
            '"POST /v2/models/%65cho/versions/1/infer HTTP/1.1" 200 OK',
            '"POST /v2/models/a%0d%0ab/infer HTTP/1.1" 404 Not Found',
            '"POST /v2/models/echo/infer HTTP/1.1" 400 Bad Request',
            '"GET /v2 HTTP/1.1" 200 OK',
            '"GET /v2/models/nobody HTTP/1.1" 404 Not Found',
        ]
        * 2
    )
    # uvicorn quotes anew what it has unquoted; ours is what the client sent.
    assert [line.replace("%0D%0A", "%0d%0a") for line in lines["asgi"]] == [
        line.replace("%65", "e") for line in lines["fast"]
    ]
