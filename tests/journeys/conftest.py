"""Real servers whose calls are written down, and the page that says which files they enter."""

from __future__ import annotations

import json
import sys
import threading
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import numpy_helper

sys.path.insert(0, str(Path(__file__).parent))  # `tracer`, `journey`

from journey import Journey, common, journey, journeys_of
from traced_server import TracedServer, processes, traced_here
from tracer import ROOT, Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


#: Columns of the model that the requests of a journey go to; a run of it takes milliseconds.
COLUMNS = 512
#: Requests that are traced, one after the other.
RUNS = 4


@pytest.fixture(scope="session")
def listed() -> dict[str, list[str]]:
    """By the name of a journey, the files that the page lists."""
    return journeys_of((ROOT / "docs" / "design.md").read_text())


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    return Trace(tmp_path / "trace")


@pytest.fixture
def registry_of_one(tmp_path: Path, onnx_file: Callable[..., Path]) -> Path:
    """A model whose runs are too long for the event loop."""
    eye = numpy_helper.from_array(np.eye(COLUMNS, dtype=np.float32), "eye")
    names = ["x", *(f"h{number}" for number in range(199)), "y"]
    nodes = [("MatMul", [a, "eye"], [b]) for a, b in pairwise(names)]
    shape = ["n", COLUMNS]
    path = tmp_path / "registry" / "long" / "1" / "model.onnx"
    onnx_file(path, nodes, [("x", "FLOAT", shape)], [("y", "FLOAT", shape)], [eye])
    return tmp_path / "registry"


def request_of(number: int) -> bytes:
    """A prediction request that differs from others in its head and in its body."""
    tensor = {"name": "x", "shape": [1, COLUMNS], "datatype": "FP32", "data": [0.5] * COLUMNS}
    body = (json.dumps({"inputs": [tensor]}) + " " * number).encode()
    head = f"POST /v2/models/long/infer HTTP/1.1\r\nhost: x\r\nx-run: {number}\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


@pytest.fixture
def prediction(trace: Trace, registry_of_one: Path, live_server: Any) -> Callable[[str], Journey]:
    """The journey of a prediction by this way in."""

    def run(way: str) -> Journey:
        runs = []
        with traced_here(trace):
            server = live_server(registry_of_one, way, threads=2)
            with server, server.connect() as client:
                for number in range(RUNS):
                    trace.switch(on=True)
                    assert client.send(request_of(number)).answer().status == 200
                    server.on_loop(lambda: None)  # what follows an answer has been done
                    trace.switch(on=False)
                    here = threading.get_ident()
                    runs.append(journey(one for one in trace.take() if one.thread != here))
        return common(runs[1:])  # in the first something is made that stays

    return run


@pytest.fixture
def serve(trace: Trace, tmp_path: Path) -> Iterator[Callable[..., TracedServer]]:
    """Start a traced server, and wait until it serves what is in its registry."""
    running = []

    def start(registry: Path, *options: str) -> TracedServer:
        server = TracedServer(trace, tmp_path, registry, "--workers", "1", *options)
        running.append(server)
        processes.until(server.is_settled)
        return server

    yield start
    for server in running:
        server.process.terminate()
        try:
            server.process.wait(20)
        finally:
            server.process.kill()
            server.process.communicate()
