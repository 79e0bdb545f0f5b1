"""A port that stops answers what it has begun, and tells all others that they may try again."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest

from penstock.server.oip.schema import SERVICE, message

if TYPE_CHECKING:
    from pathlib import Path

ROW = np.float32([[1.5, -2.0]])
CALLERS = 8


class Caller(threading.Thread):
    """Predicts until it is refused, over a connection of its own.

    Args:
        address: Of the port.
        body: What it sends.
        refused: Where it waits with the others when it was refused.
    """

    def __init__(self, address: str, body: bytes, refused: threading.Barrier) -> None:
        super().__init__()
        self.answered = threading.Event()
        self.refusal: tuple[grpc.StatusCode, str] | None = None
        self._address = address
        self._body = body
        self._refused = refused

    def run(self) -> None:
        own = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(self._address, own) as channel:
            infer = channel.unary_unary(f"/{SERVICE}/ModelInfer")
            try:
                while infer(self._body, timeout=60):
                    self.answered.set()
            except grpc.RpcError as error:
                trailing = dict(error.trailing_metadata() or ())
                self.refusal = error.code(), trailing.get("grpc-retry-pushback-ms", "")
            self._refused.wait(60)


def test_a_drain_under_load_loses_no_call(
    live_server: Any, grpc_server: Any, registry: Path, request_of: Any
) -> None:
    body = request_of("echo", ROW).SerializeToString()
    refused = threading.Barrier(CALLERS + 1)
    with live_server(registry, "fast", "uvloop") as server, grpc_server(server) as port:
        # A caller on a busy machine may be late with its next call.
        port.grace_seconds, port.port._quiet_seconds = 60.0, 2.0
        callers = [Caller(port.address, body, refused) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        for caller in callers:
            assert caller.answered.wait(60)
        stopping = threading.Thread(target=port.stop)
        stopping.start()
        refused.wait(60)
        stopping.join(60)
        assert not stopping.is_alive()
    assert [one.refusal for one in callers] == CALLERS * [(grpc.StatusCode.UNAVAILABLE, "1000")]


def test_a_drain_ends_a_stream_when_all_that_was_read_is_answered(
    live_server: Any, grpc_server: Any, registry: Path, request_of: Any
) -> None:
    body = request_of("echo", ROW).SerializeToString()
    over = threading.Event()

    def requests() -> Any:
        yield from (body, body)
        over.wait(60)

    with live_server(registry, "fast", "uvloop") as server, grpc_server(server) as port:
        with grpc.insecure_channel(port.address) as channel:
            answers = channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")(requests())
            answer = message("ModelStreamInferResponse").FromString
            assert [answer(next(answers)).error_message for _ in range(2)] == ["", ""]
            stopping = threading.Thread(target=port.stop)
            stopping.start()
            with pytest.raises(grpc.RpcError) as caught:
                next(answers)
            over.set()
        stopping.join(60)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
