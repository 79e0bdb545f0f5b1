"""From the bytes of requests to the bytes of answers in one process, without sockets."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from penstock.server import create_app
from penstock.server.http.fastpath import FastPathProtocol

REGISTRY = Path(__file__).resolve().parents[2] / "examples" / "registry"


class Transport:
    """Counts answers in place of sending them."""

    def __init__(self) -> None:
        self.answers = 0

    def write(self, data: bytes) -> None:
        assert data.startswith(b"HTTP/1.1 200")
        self.answers += 1

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False


def request() -> bytes:
    data = [index / 7 for index in range(30)]
    tensor = {"name": "features", "shape": [1, 30], "datatype": "FP32", "data": data}
    body = orjson.dumps({"inputs": [tensor]})
    head = "POST /v2/models/breast-cancer/infer HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n"
    return head.format(len(body)).encode() + body


@pytest.mark.parametrize("connections", [1, 64])
def test_a_tick_of_json_predictions(benchmark: Any, connections: int) -> None:
    raw = request()
    with asyncio.Runner() as runner:
        app = create_app(REGISTRY)
        lifespan = app._routed.router.lifespan_context(app._routed)
        state = runner.run(lifespan.__aenter__())
        config = Config(app, access_log=False, ws="none", log_config=None)
        config.load()
        transports = [Transport() for _ in range(connections)]
        protocols = []

        async def connect() -> None:
            for transport in transports:
                protocol = FastPathProtocol(config, ServerState(), dict(state))
                protocol.connection_made(transport)  # type: ignore[arg-type]
                protocols.append(protocol)

        async def tick() -> None:
            wanted = transports[-1].answers + 1
            for protocol in protocols:
                protocol.data_received(raw)
            while any(t.answers < wanted for t in transports):  # noqa: ASYNC110  one tick, no wait
                await asyncio.sleep(0)  # the answers come by callbacks of the same loop

        runner.run(connect())
        benchmark.pedantic(lambda: runner.run(tick()), rounds=200, warmup_rounds=50)
        runner.run(lifespan.__aexit__(None, None, None))
