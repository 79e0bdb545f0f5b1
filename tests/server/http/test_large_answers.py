"""Answers too large for the event loop: the same bytes, made elsewhere, given once to who waits."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np
import pytest

from penstock.monitoring.metrics import layout
from penstock.server.codecs import json as json_codec
from penstock.server.codecs import msgpack as msgpack_codec
from penstock.server.inference import large_answers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

JSON = "content-type: application/json"
MSGPACK = "content-type: application/msgpack"
WIDTH = 50_000  # numbers in a row of the answers of "wide"
#: A neighbour's longest wait on a busy machine; the thread that did the work is what is asserted.
TIMEOUT_SECONDS = 1.0


@pytest.fixture(scope="module", params=["fast", "asgi"])
def server(request: pytest.FixtureRequest, serve: Callable[..., Any]) -> Iterator[Any]:
    with serve(request.param, large_answer_bytes=65_536) as running:
        yield running


class Watched:
    """The encoding: on which threads it ran, held until it is let go."""

    def __init__(self) -> None:
        self.threads: list[str] = []
        self.entered = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.go_on.set()
        self._encode = large_answers._encode

    def __call__(self, *args: Any, **options: Any) -> Any:
        self.threads.append(threading.current_thread().name)
        self.entered.release()
        assert self.go_on.wait(60)
        return self._encode(*args, **options)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    made = Watched()
    monkeypatch.setattr(large_answers, "_encode", made)
    return made


def request_of(rows: int, kind: str, first: float = 0.0) -> tuple[bytes, list[str]]:
    values = np.arange(rows, dtype=np.float32) + np.float32(first)
    tensor: dict[str, Any] = {"name": "x", "shape": [rows, 1], "datatype": "FP32"}
    if kind == "msgpack":
        return msgpack.packb({"inputs": [{**tensor, "data": values.tobytes()}]}), [MSGPACK]
    document: dict[str, Any] = {"inputs": [{**tensor, "data": values.tolist()}]}
    if kind == "binary":
        document["parameters"] = {"binary_data_output": True}
        document["id"] = "with an id"
    return json.dumps(document).encode(), [JSON]


def values_of(answer: Any, kind: str) -> np.ndarray[Any, Any]:
    assert answer.status == 200, answer
    body = answer.body
    if "content-encoding" in answer.headers:
        body = gzip.decompress(body)
    if kind == "msgpack":
        (output,) = msgpack.unpackb(body)["outputs"]
        return np.frombuffer(output["data"], np.float32).reshape(output["shape"])
    if kind == "binary":
        length = int(answer.headers["inference-header-content-length"])
        (output,) = json.loads(body[:length])["outputs"]
        return np.frombuffer(body[length:], np.float32).reshape(output["shape"])
    (output,) = json.loads(body)["outputs"]
    return np.array(output["data"], np.float32).reshape(output["shape"])


@pytest.mark.parametrize("kind", ["json", "msgpack", "binary"])
@pytest.mark.parametrize("encoding", ["", "accept-encoding: gzip"])
def test_large_answers_are_right_and_made_on_the_decoding_thread(
    server: Any, post: Callable[..., bytes], watched: Watched, kind: str, encoding: str
) -> None:
    for rows in (1, 3):
        body, lines = request_of(rows, kind)
        for _ in range(3):  # the way of a first request, of a known head, of a known body
            answer = server.ask(post("wide", body, *lines, *[encoding] * bool(encoding)))
            got = values_of(answer, kind)
            assert got.shape == (rows, WIDTH)
            assert (got == np.arange(rows)[:, None]).all()
            assert ("content-encoding" in answer.headers) == bool(encoding)
    assert len(watched.threads) == 6
    assert all(name.startswith("penstock-decode") for name in watched.threads)


def test_small_answers_stay_on_the_loop(
    server: Any, post: Callable[..., bytes], watched: Watched
) -> None:
    assert server.ask(post()).status == 200
    assert not watched.threads


@pytest.mark.parametrize("kind", ["json", "msgpack", "binary"])
def test_the_bytes_are_those_of_the_loop(
    server: Any, serve: Callable[..., Any], post: Callable[..., bytes], kind: str
) -> None:
    with serve("fast", large_answer_bytes=1 << 30) as plain:
        for rows, more in itertools.product((1, 2), ([], ["accept-encoding: gzip"])):
            body, lines = request_of(rows, kind)
            raw = post("wide", body, *lines, "x-request-id: a", *more)
            here, there = server.ask(raw), plain.ask(raw)
            assert here.body == there.body
            assert sorted(here.headers) == sorted(there.headers)


def test_a_batch_of_large_answers_gives_each_caller_its_own(
    server: Any, post: Callable[..., bytes], watched: Watched
) -> None:
    """The first holds the thread, so the others run together; each has another way of writing."""
    watched.go_on.clear()
    clients = []
    kinds = ["json", "json", "msgpack", "binary"] * 2
    for number, kind in enumerate(kinds):
        body, lines = request_of(1, kind, number)
        more = ["accept-encoding: gzip"] if number % 2 else []
        clients.append(server.connect().send(post("wide", body, *lines, *more)))
        if not number:
            assert watched.entered.acquire(timeout=60)
    assert server.ask(post()).status == 200  # the loop is free meanwhile
    watched.go_on.set()
    for number, (kind, client) in enumerate(zip(kinds, clients, strict=True)):
        with client:
            got = values_of(client.answer(), kind)
            assert got.shape == (1, WIDTH)
            assert (got == number).all()


def in_flight(server: Any, model: str) -> int:
    servable = server.app.engine.catalog.find(model)
    slots = servable.counters._slots
    return int(server.on_loop(lambda: slots[layout.IN_FLIGHT] + servable._coding))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_call_that_is_abandoned_meanwhile_ends_and_the_next_is_answered(
    server: Any, post: Callable[..., bytes], watched: Watched
) -> None:
    watched.go_on.clear()
    body, lines = request_of(2, "json")
    client = server.connect().send(post("wide", body, *lines))
    assert watched.entered.acquire(timeout=60)
    client.socket.close()
    assert server.ask(post()).status == 200
    watched.go_on.set()
    until(lambda: in_flight(server, "wide") == 0)
    assert values_of(server.ask(post("wide", body, *lines)), "json").shape == (2, WIDTH)


@pytest.mark.parametrize("name", ["fast", "asgi"])
def test_a_stop_waits_for_answers_that_are_being_encoded(
    serve: Callable[..., Any], post: Callable[..., bytes], watched: Watched, name: str
) -> None:
    with serve(name, large_answer_bytes=65_536) as server:
        watched.go_on.clear()
        body, lines = request_of(2, "json")
        with server.connect().send(post("wide", body, *lines)) as client:
            assert watched.entered.acquire(timeout=60)
            server.stop()
            time.sleep(0.2)  # it has nothing else to do
            watched.go_on.set()
            assert values_of(client.answer(), "json").shape == (2, WIDTH)


def test_an_unload_waits_for_answers_that_are_being_encoded(
    serve: Callable[..., Any], post: Callable[..., bytes], watched: Watched
) -> None:
    with serve("fast", large_answer_bytes=65_536) as server:
        watched.go_on.clear()
        body, lines = request_of(2, "json")
        with server.connect().send(post("wide", body, *lines)) as client:
            assert watched.entered.acquire(timeout=60)
            engine = server.app.engine
            servable = engine.catalog.find("wide")
            apply = asyncio.run_coroutine_threadsafe(engine.host.apply({}), server.loop)
            until(lambda: server.on_loop(lambda: "wide" not in engine.catalog.models))
            assert server.on_loop(lambda: servable._coding) == 1
            assert not apply.done()
            watched.go_on.set()
            assert values_of(client.answer(), "json").shape == (2, WIDTH)
            apply.result(20)


def test_answers_that_wait_are_bounded(
    serve: Callable[..., Any],
    post: Callable[..., bytes],
    watched: Watched,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(large_answers, "MAX_WAITING_BYTES", 300_000)
    with serve("fast", large_answer_bytes=65_536) as server:
        watched.go_on.clear()
        body, lines = request_of(1, "json")
        with server.connect().send(post("wide", body, *lines)) as first:
            assert watched.entered.acquire(timeout=60)
            refused = server.ask(post("wide", body, *lines))
            assert (refused.status, refused.headers["retry-after"]) == (503, "1")
            watched.go_on.set()
            assert first.answer().status == 200
        huge, lines = request_of(4, "json")  # alone, any size has room
        assert server.ask(post("wide", huge, *lines)).status == 200


def test_nobody_waits_for_an_answer_of_millions_of_numbers(
    server: Any, post: Callable[..., bytes], watched: Watched
) -> None:
    over = threading.Event()
    waits: list[float] = []

    def neighbour() -> None:
        with server.connect() as client:
            while not over.is_set():
                began = time.monotonic()
                assert client.send(post("echo", None, JSON)).answer().status == 200
                waits.append(time.monotonic() - began)

    thread = threading.Thread(target=neighbour)
    thread.start()
    try:
        body, lines = request_of(40, "json")
        with server.connect().send(post("wide", body, *lines)) as client:
            head = client._until(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            content = bytearray(size)  # filled in place: this client shares the interpreter lock
            got = len(client.received)
            content[:got] = client.received
            while got < size:
                got += client.socket.recv_into(memoryview(content)[got:])
    finally:
        over.set()
        thread.join(20)
    assert head.startswith(b"HTTP/1.1 200")
    assert content.count(b",") > 40 * WIDTH - 1
    assert all(name.startswith("penstock-decode") for name in watched.threads)
    assert watched.threads
    assert waits
    assert max(waits) < TIMEOUT_SECONDS


def test_no_call_into_c_writes_more_than_a_part_of_an_answer(
    server: Any, post: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each holds the interpreter lock, for which the loop waits, too."""
    sizes: list[int] = []
    dumps = json_codec._dumps

    def counted(value: Any, *args: Any) -> bytes:
        sizes.append(np.size(value))
        return dumps(value, *args)

    monkeypatch.setattr(json_codec, "_dumps", counted)
    body, lines = request_of(3, "json")
    assert server.ask(post("wide", body, *lines)).status == 200
    assert sum(sizes) == 3 * WIDTH
    assert max(sizes) == json_codec.MANY_NUMBERS


def test_many_texts_are_packed_as_one_list() -> None:
    for size in (0, 1, 15, 16, 1023, 1024, 1025, 2049, 70_000):
        texts = np.array([b"%d" % number for number in range(size)], np.object_)
        assert msgpack_codec._packed_texts(texts) == msgpack.packb(texts.tolist())
