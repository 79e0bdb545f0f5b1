"""gRPC beside other servers.

All serve one model by ``ModelInfer`` to 64 calls at a time: a network of 30 features and two
layers of ``hidden`` neurons, or the model of the examples with 0. The bare servicer is
``grpc.aio`` with the messages of Protocol Buffers, and runs the model for each call; the constant
one gives the same bytes to each, so it shows what the library takes. MLServer
comes from an environment such as ``make peers`` makes, and serves the model in its own process, as
in the load tests. The client speaks HTTP/2 by itself, because a client of ``grpc``
takes longer for a call than a server. All servers have the same core, and are asked in turn, in
short windows. Told are calls a second, and the processor time of the serving process for each call.
All answers are compared with each other.
"""

from __future__ import annotations

import argparse
import itertools
import os
import select
import shutil
import socket
import struct
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx
from grpc_servers import serve_bare, serve_mlserver, serve_penstock
from onnx import TensorProto, helper, numpy_helper

from penstock.server.oip.schema import SERVICE, message

EXAMPLES = Path(__file__).parents[2] / "examples" / "registry"
MODEL = "breast-cancer"
CALLS = 64
CONNECTIONS = 4
WINDOW_SECONDS = 1.0

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
#: As much as HTTP/2 allows, so that no answer waits for the client.
MAX_WINDOW = (1 << 31) - 1


def frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    return struct.pack(">I", len(content))[1:] + struct.pack(">BBI", kind, flags, stream) + content


def literal(name: bytes, value: bytes) -> bytes:
    """A header that is not indexed (RFC 7541, 6.2.2)."""
    return b"\x00" + bytes((len(name),)) + name + bytes((len(value),)) + value


class Connection:
    """Calls of one method over one HTTP/2 connection, all with the same body."""

    def __init__(self, port: int, body: bytes, calls: int) -> None:
        self.answers = 0
        self.last = b""
        self._calls = calls
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        path = f"/{SERVICE}/ModelInfer".encode()
        self._headers = b"".join(
            literal(*one)
            for one in (
                (b":method", b"POST"),
                (b":scheme", b"http"),
                (b":path", path),
                (b":authority", b"localhost"),
                (b"te", b"trailers"),
                (b"content-type", b"application/grpc"),
            )
        )
        self._body = b"\0" + struct.pack(">I", len(body)) + body
        self._next = 1
        self._received = b""
        self._parts: dict[int, bytes] = {}
        window = struct.pack(">HI", 4, MAX_WINDOW)
        grown = struct.pack(">I", MAX_WINDOW - 65_535)
        opening = frame(SETTINGS, 0, 0, window) + frame(WINDOW, 0, 0, grown)
        self._socket.sendall(PREFACE + opening)

    def fileno(self) -> int:
        return self._socket.fileno()

    def begin(self, count: int) -> None:
        """Begin so many calls."""
        parts = []
        for _ in range(count):
            parts.append(frame(HEADERS, END_HEADERS, self._next, self._headers))
            parts.append(frame(DATA, END_STREAM, self._next, self._body))
            self._next += 2
        self._socket.sendall(b"".join(parts))

    def fill(self) -> None:
        self.begin(self._calls)

    def receive(self, *, going_on: bool) -> None:
        """Take what has come; each answer is followed by a call."""
        data = self._socket.recv(1 << 18)
        assert data, "the server has closed the connection"
        self._received += data
        position, ended = 0, 0
        while len(self._received) - position >= 9:
            (length,) = struct.unpack(">I", b"\0" + self._received[position : position + 3])
            if len(self._received) - position < 9 + length:
                break
            kind, flags, stream = struct.unpack_from(">BBI", self._received, position + 3)
            content = self._received[position + 9 : position + 9 + length]
            position += 9 + length
            if kind == SETTINGS and not flags & ACK:
                self._socket.sendall(frame(SETTINGS, ACK, 0, b""))
            elif kind == PING and not flags & ACK:
                self._socket.sendall(frame(PING, ACK, 0, content))
            elif kind == DATA:
                self._parts[stream] = self._parts.get(stream, b"") + content
            elif kind == HEADERS and flags & END_STREAM:
                self.last = self._parts.pop(stream)  # a failed call has none
                ended += 1
            assert kind not in {RESET, GOAWAY}, "the server has refused a call"
        self._received = self._received[position:]
        self.answers += ended
        if ended and going_on:
            self.begin(ended)


class Side:
    """One server with its connections."""

    def __init__(self, name: str, port: int, pid: int, body: bytes) -> None:
        self.name = name
        self.rates: list[float] = []
        self.costs: list[float] = []
        self._pid = pid
        self._connections = [
            Connection(port, body, CALLS // CONNECTIONS) for _ in range(CONNECTIONS)
        ]

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def run(self, seconds: float, check: Any, *, counted: bool = True) -> None:
        before, cpu = sum(one.answers for one in self._connections), self.cpu_seconds()
        for one in self._connections:
            one.fill()
        began = time.perf_counter()
        owed = CALLS
        while owed:
            going_on = time.perf_counter() - began < seconds
            ready, _, _ = select.select(self._connections, [], [], 60)
            assert ready, "no answer has come"
            for one in ready:
                had = one.answers
                one.receive(going_on=going_on)
                if not going_on:
                    owed -= one.answers - had
        took = time.perf_counter() - began
        answers = sum(one.answers for one in self._connections) - before
        for one in self._connections:
            check(one.last[5:])
        if counted:
            self.rates.append(answers / took)
            self.costs.append((self.cpu_seconds() - cpu) / answers)


def write_network(path: Path, hidden: int) -> None:
    """A network with random weights."""
    rng = np.random.default_rng(0)
    sizes = [30, hidden, hidden, 2]
    nodes, weights, last = [], [], "features"
    for layer, (given, made) in enumerate(itertools.pairwise(sizes)):
        scaled = rng.normal(size=(given, made)) / np.sqrt(given)
        weights.append(numpy_helper.from_array(scaled.astype(np.float32), f"w{layer}"))
        nodes.append(helper.make_node("MatMul", [last, f"w{layer}"], [f"s{layer}"]))
        last = "probabilities" if made == sizes[-1] else f"t{layer}"
        nodes.append(helper.make_node("Tanh", [f"s{layer}"], [last]))
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size])
        for name, size in (("features", sizes[0]), (last, sizes[-1]))
    ]
    graph = helper.make_graph(nodes, "network", ends[:1], ends[1:], weights)
    opsets = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)


def main(seconds: float, hidden: int, mlserver: Path | None) -> None:
    rows = np.full((1, 30), 0.5, np.float32)
    request = message("ModelInferRequest")(model_name=MODEL)
    request.inputs.add(name="features", datatype="FP32", shape=rows.shape)
    request.raw_input_contents.append(rows.tobytes())
    body = request.SerializeToString()
    expected: list[bytes] = []

    def check(answer: bytes) -> None:
        found = list(message("ModelInferResponse").FromString(answer).raw_output_contents)
        expected.extend(found if not expected else ())
        a, b = (np.frombuffer(one[-1], np.float32) for one in (found, expected))
        np.testing.assert_allclose(a, b, rtol=1e-4)

    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:1])  # of the servers that are started now
    with tempfile.TemporaryDirectory() as name:
        registry = Path(name) / "registry"
        path = registry / MODEL / "1" / "model.onnx"
        path.parent.mkdir(parents=True)
        if hidden:
            write_network(path, hidden)
        else:
            shutil.copy(EXAMPLES / MODEL / "2" / "model.onnx", path)
        servers = [serve_bare("bare", path), serve_bare("constant", path)]
        servers.append(serve_penstock(registry))
        if mlserver:
            servers.append(serve_mlserver(mlserver, path, MODEL, Path(name)))
        os.sched_setaffinity(0, cores[1:] or cores)
        try:
            sides = [Side(one.name, one.port, one.pid, body) for one in servers]
            for side in sides:
                side.run(WINDOW_SECONDS / 2, check, counted=False)
            for _ in range(max(1, round(seconds / WINDOW_SECONDS / len(sides)))):
                for side in sides:
                    side.run(WINDOW_SECONDS, check)
        finally:
            for one in servers:
                one.process.terminate()
            for one in servers:
                one.process.wait(60)
    tell(sides)


def tell(sides: list[Side]) -> None:
    """Print the rates, and how Penstock compares with each of the others."""
    for side in sides:
        rate, cost = median(side.rates), median(side.costs)
        sys.stdout.write(f"{side.name}: {rate:,.0f} calls/s, {cost * 1e6:.0f} us of processor\n")
    mine = next(one for one in sides if one.name == "penstock")
    for side in sides:
        if side is not mine:
            of_time = median(side.costs) / median(mine.costs)
            of_calls = median(mine.rates) / median(side.rates)
            text = f"penstock : {side.name} = {of_calls:.2f} calls/s, {of_time:.2f} calls/CPU s\n"
            sys.stdout.write(text)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of all windows together")
    parser.add_argument("--hidden", type=int, default=1024, help="neurons; 0 for the example")
    parser.add_argument("--mlserver", type=Path, help="its program")
    return parser.parse_args()


if __name__ == "__main__":
    given = arguments()
    main(given.seconds, given.hidden, given.mlserver)
