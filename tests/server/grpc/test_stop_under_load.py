"""A port that stops although calls go on coming: each call is answered, or may be made again."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np

from penstock.server.oip.schema import SERVICE

if TYPE_CHECKING:
    from pathlib import Path

ROW = np.float32([[1.5, -2.0]])
CALLERS = 8


def test_calls_that_come_until_the_last_instant_may_be_made_again(
    live_server: Any, grpc_server: Any, registry: Path, request_of: Any
) -> None:
    """Callers go on while they are refused, until their connections end."""
    body = request_of("echo", ROW).SerializeToString()
    answered = threading.Semaphore(0)
    codes: Counter[grpc.StatusCode] = Counter()

    def call() -> None:
        own = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        with grpc.insecure_channel(port.address, own) as channel:
            infer = channel.unary_unary(f"/{SERVICE}/ModelInfer")
            connected = True
            while connected:
                calls = [infer.future(body, timeout=60) for _ in range(4)]
                for one in calls:
                    codes[one.code()] += 1
                    refused = "grpc-retry-pushback-ms" in dict(one.trailing_metadata() or ())
                    connected &= refused or one.code() is grpc.StatusCode.OK
                answered.release()

    with live_server(registry, "fast", "uvloop") as server, grpc_server(server) as port:
        port.port._quiet_seconds = 0.02
        callers = [threading.Thread(target=call) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        for _ in callers:
            assert answered.acquire(timeout=60)
        port.stop()
        for caller in callers:
            caller.join(60)
    assert codes[grpc.StatusCode.OK] >= CALLERS
    assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}, codes


def test_a_run_that_takes_longer_than_the_silence_is_answered(
    live_server: Any, grpc_server: Any, held: tuple[Path, Any], request_of: Any
) -> None:
    registry, gate = held
    row = np.float32([[1000.0]])
    with (
        live_server(registry, "fast", "uvloop", allow_code="held") as server,
        grpc_server(server) as port,
        grpc.insecure_channel(port.address) as channel,
    ):
        port.grace_seconds, port.port._quiet_seconds = 60.0, 0.02
        infer = channel.unary_unary(f"/{SERVICE}/ModelInfer")
        is_live = channel.unary_unary(f"/{SERVICE}/ServerLive")
        answer = infer.future(request_of("held", row).SerializeToString())
        end = time.monotonic() + 60
        while not gate.runs:
            assert time.monotonic() < end
            time.sleep(0.01)
        stopping = threading.Thread(target=port.stop)
        stopping.start()
        while is_live.future(b"", timeout=60).code() is grpc.StatusCode.OK:
            assert time.monotonic() < end
        time.sleep(0.1)  # a silence
        assert is_live.future(b"", timeout=60).code() is grpc.StatusCode.UNAVAILABLE
        assert not answer.done()
        gate.open()
        assert row.tobytes() in answer.result(60)
        stopping.join(60)
