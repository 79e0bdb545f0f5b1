"""Bodies that are small to send and large to read delay nobody else."""

from __future__ import annotations

import gzip
import json
import struct
import threading
import time
import zlib
from typing import TYPE_CHECKING, Any, Self

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIB = 1 << 20
#: Others waited for two to four seconds; a busy machine alone makes them wait for tenths.
TIMEOUT_SECONDS = 1.0

JSON = "content-type: application/json"
MSGPACK = "content-type: application/msgpack"


def wrapped(data: bytes, shape: str) -> bytes:
    head = f'{{"inputs":[{{"name":"x","datatype":"FP32","shape":{shape},"data":'
    return head.encode() + data + b"}]}"


def array32(count: int) -> bytes:
    return b"\xdd" + struct.pack(">I", count)


def packed(data: bytes, shape: bytes) -> bytes:
    head = b"\x81\xa6inputs\x91\x84\xa4name\xa1x\xa8datatype\xa4FP32\xa5shape"
    return head + shape + b"\xa4data" + data


def bombs() -> dict[str, tuple[str, bytes, tuple[str, ...]]]:
    zeros = wrapped(b"[" + b"0," * (30 * MIB) + b"0]", "[1,1]")
    lists = wrapped(b"[" + b"[]," * (8 * MIB) + b"[]]", "[1,1]")
    fitting = wrapped(b"[" + b"0," * (4 * MIB - 1) + b"0]", f"[1,{4 * MIB}]")
    many = 16 * MIB
    mapped = packed(array32(many) + b"\x90" * many, b"\x92\x01\xce" + struct.pack(">I", many))
    size = {"binary_data_size": 12 * MIB}
    texts = {"name": "x", "datatype": "BYTES", "shape": [3 * MIB // 2, 2], "parameters": size}
    head = json.dumps({"inputs": [texts]}).encode()
    gzipped = "content-encoding: gzip"
    return {
        "gzip of zeros": ("open", gzip.compress(zeros, 1), (JSON, gzipped)),
        "deflate of lists": ("open", zlib.compress(lists, 1), (JSON, "content-encoding: deflate")),
        "gzip of msgpack": ("open", gzip.compress(mapped, 1), (MSGPACK, gzipped)),
        "gzip of many members": ("open", gzip.compress(b"") * 200_000, (JSON, gzipped)),
        "lists": ("open", lists, (JSON,)),
        "numbers that fit": ("open", fitting, (JSON,)),
        "msgpack lists": ("open", mapped, (MSGPACK,)),
        "promises": ("open", packed(array32(39_000) * 7_000, b"\x92\x01\x01"), (MSGPACK,)),
        "texts": (
            "echo-bytes",
            head + bytes(12 * MIB),
            (
                "content-type: application/octet-stream",
                f"inference-header-content-length: {len(head)}",
            ),
        ),
    }  # fmt: skip


class Onlooker:
    """Asks for its prediction again and again; ``longest_seconds`` is what it waited at most."""

    def __init__(self, server: Any, raw: bytes) -> None:
        self._server = server
        self._raw = raw
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._begun = threading.Event()
        self.longest_seconds = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._begun.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)

    def _run(self) -> None:
        with self._server.connect() as client:
            while not self._over.is_set():
                began = time.monotonic()
                assert client.send(self._raw).answer().status == 200
                self._begun.set()
                self.longest_seconds = max(self.longest_seconds, time.monotonic() - began)


@pytest.fixture(scope="module", params=["fast", "asgi"])
def roomy(request: pytest.FixtureRequest, serve: Callable[..., Any]) -> Iterator[Any]:
    """A server with the usual limits."""
    with serve(request.param) as server:
        yield server


def test_a_costly_body_delays_nobody_else(roomy: Any, post: Callable[..., bytes]) -> None:
    costly = bombs()
    for case, (model, body, lines) in costly.items():
        with Onlooker(roomy, post("echo", None, JSON)) as onlooker:
            status = roomy.ask(post(model, body, *lines)).status
        assert status in ({200} if case == "numbers that fit" else {400, 413}), case
        assert onlooker.longest_seconds < TIMEOUT_SECONDS, case
