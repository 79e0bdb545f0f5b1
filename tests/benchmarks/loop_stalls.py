"""``python tests/benchmarks/loop_stalls.py``: how long large bodies hold the event loop.

A server with all monitoring runs in this process. A timer on its loop reads the processor time of
the loop's thread every millisecond; what is spent between two readings held the loop, whatever else
the machine does. One body of each kind is sent at a time, by this process' main thread.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import http.client
import json
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgpack
import numpy as np
import onnx
import uvicorn
import uvloop
from onnx import TensorProto, helper

from penstock.server import create_app
from penstock.server.http.fastpath import FastPathProtocol

if TYPE_CHECKING:
    from collections.abc import Iterator

COLUMNS: Final = 1000
TICK_SECONDS: Final = 0.001
RULES: Final = "[quality.fields.x]\nmin = -10\nmax = 10\npolicy = '{}'\n"


def write_model(registry: Path, name: str, policy: str) -> None:
    """A model that gives its rows back, with declared values."""
    version = registry / name / "1"
    version.mkdir(parents=True)
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", COLUMNS]) for n in "xy"]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(version / "model.onnx"))
    (registry / name / "model.toml").write_text(RULES.format(policy))


class Server:
    """A server on a loop of its own thread, whose holds are measured."""

    def __init__(self, registry: Path) -> None:
        self.longest = 0.0
        self.socket = socket.create_server(("127.0.0.1", 0))
        app = create_app(registry, sample_rate=1.0)
        config = uvicorn.Config(app, http=FastPathProtocol, log_level="warning")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=lambda: uvloop.run(self._serve()), daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.05)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._read = time.thread_time()
        self._tick()
        await self._server.serve([self.socket])

    def _tick(self) -> None:
        now = time.thread_time()
        self.longest = max(self.longest, now - self._read)
        self._read = now
        self._loop.call_later(TICK_SECONDS, self._tick)

    def ask(self, model: str, body: bytes, headers: dict[str, str]) -> int:
        """Send a request and take its answer."""
        connection = http.client.HTTPConnection(*self.socket.getsockname(), timeout=120)
        connection.request("POST", f"/v2/models/{model}/infer", body, headers)
        response = connection.getresponse()
        response.read()
        connection.close()
        return response.status

    def close(self) -> None:
        """Stop serving."""
        self._server.should_exit = True
        self._thread.join(10)


def bodies(rows: int) -> Iterator[tuple[str, bytes, dict[str, str]]]:
    """Name, body and headers of requests with the same tensor."""
    values = np.random.default_rng(1).random((rows, COLUMNS), np.float32)
    head: dict[str, Any] = {"name": "x", "datatype": "FP32", "shape": [rows, COLUMNS]}
    raw = values.tobytes()
    yield (
        "msgpack",
        msgpack.packb({"inputs": [{**head, "data": raw}]}),
        {"content-type": "application/msgpack"},
    )
    sized = {**head, "parameters": {"binary_data_size": len(raw)}}
    document = {"inputs": [sized], "parameters": {"binary_data_output": True}}
    text = json.dumps(document).encode()
    headers = {
        "content-type": "application/octet-stream",
        "inference-header-content-length": str(len(text)),
    }
    yield "binary", text + raw, headers
    some = values[: rows // 2]
    listed = json.dumps({"inputs": [{**head, "shape": [len(some), COLUMNS]}]})
    data = b',"data":[' + ",".join(np.char.mod("%.6f", some.ravel())).encode() + b"]}]}"
    body = listed[: listed.rindex("}]}")].encode() + data
    yield "json", body, {"content-type": "application/json"}
    packed = {"content-type": "application/json", "content-encoding": "gzip"}
    yield "json, gzip", gzip.compress(body, 1), packed


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=13_000, help=f"of {COLUMNS} floats each")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        for policy in ("reject", "pass"):
            write_model(Path(place), policy, policy)
        server = Server(Path(place))
        for name, body, headers in bodies(options.rows):
            for policy in ("reject", "pass"):
                server.longest = 0.0
                status = server.ask(policy, body, headers)
                time.sleep(0.5)  # what is done after the answer counts, too
                sys.stdout.write(
                    f"{name:10} {len(body) >> 20:3} MiB, faults: {policy:6}  status {status}  "
                    f"longest hold {server.longest * 1e3:5.1f} ms\n"
                )
        server.close()


if __name__ == "__main__":
    main()
