"""The servers that ``grpc_throughput.py`` compares; each has the processors of its parent."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from penstock.loadtests.peers.peers import SERVICES
from penstock.loadtests.processes import free_port

#: Of a servicer that gives the bytes of one answer whatever it is asked, or runs the model.
BARE = """
import asyncio, sys
import grpc
import numpy as np
import onnxruntime
import uvloop
from penstock.server.oip.schema import SERVICE, message

Request, Response = message("ModelInferRequest"), message("ModelInferResponse")
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[2], options)
names = [one.name for one in session.get_outputs()]
(given,) = session.get_inputs()
TYPES = {"float32": "FP32", "int64": "INT64"}


def answer_to(request):
    (tensor,) = request.inputs
    rows = np.frombuffer(request.raw_input_contents[0], np.float32).reshape(tensor.shape)
    answer = Response(model_name=request.model_name, model_version="1", id=request.id)
    for name, array in zip(names, session.run(None, {given.name: rows})):
        answer.outputs.add(name=name, datatype=TYPES[array.dtype.name], shape=array.shape)
        answer.raw_output_contents.append(array.tobytes())
    return answer


async def infer(request, context):
    return answer_to(request)


known = []


async def constant(body, context):
    if not known:
        known.append(answer_to(Request.FromString(body)).SerializeToString())
    return known[0]


HANDLERS = {
    "bare": grpc.unary_unary_rpc_method_handler(
        infer, Request.FromString, Response.SerializeToString
    ),
    "constant": grpc.unary_unary_rpc_method_handler(constant),
}


async def main():
    server = grpc.aio.server()
    methods = {"ModelInfer": HANDLERS[sys.argv[1]]}
    handlers = grpc.method_handlers_generic_handler(SERVICE, methods)
    server.add_generic_rpc_handlers((handlers,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


uvloop.run(main())
"""


class Server(NamedTuple):
    """A started server.

    Attributes:
        name: As it is told.
        port: Of gRPC.
        pid: Of the process that answers.
        process: What was started.
    """

    name: str
    port: int
    pid: int
    process: subprocess.Popen[str]


def serve_bare(name: str, model: Path) -> Server:
    """``grpc.aio`` with nothing around it: ``bare`` runs the model, ``constant`` does not."""
    command = [sys.executable, "-c", BARE, name, str(model)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return Server(name, int(process.stdout.readline()), process.pid, process)


def serve_penstock(registry: Path) -> Server:
    """Penstock with one worker and one thread for runs."""
    command = [sys.executable, "-m", "penstock.server.cli.main", "serve", str(registry)]
    ports = ["--port", "0", "--admin-port", "0", "--grpc-port", "0", "--threads", "1"]
    process = subprocess.Popen([*command, *ports], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    text = ""
    while "workers " not in text:
        text += process.stdout.readline()
    until_answered(re.search(r"http://\S+:\d+", text)[0] + "/v2/health/ready")  # type: ignore[index]
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    worker = next(
        int(one) for one in children if b"worker-0" in Path(f"/proc/{one}/cmdline").read_bytes()
    )
    port = int(re.search(r"grpc://\S+:(\d+)", text)[1])  # type: ignore[index]
    return Server("penstock", port, worker, process)


def serve_mlserver(program: Path, model: Path, name: str, directory: Path) -> Server:
    """MLServer, with the model in its own process, and nothing logged or measured."""
    http, grpc = free_port(), free_port()
    settings: dict[str, Any] = {
        "debug": False,
        "host": "127.0.0.1",
        "http_port": http,
        "grpc_port": grpc,
        "metrics_port": free_port(),
        "metrics_endpoint": None,
        "parallel_workers": 0,
    }
    served = {"name": name, "implementation": "mlserver_service.OnnxRuntime"}
    (directory / "settings.json").write_text(json.dumps(settings))
    (directory / "model-settings.json").write_text(json.dumps(served))
    environment = {**os.environ, "PYTHONPATH": str(SERVICES), "MODEL_PATH": str(model)}
    process = subprocess.Popen(
        [program, "start", directory],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    until_answered(f"http://127.0.0.1:{http}/v2/models/{name}/ready")
    return Server("mlserver", grpc, process.pid, process)


def until_answered(url: str, seconds: float = 120.0) -> None:
    """Wait until a server answers a question with 200."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(url, timeout=60).close()
            return
        time.sleep(0.1)
    raise TimeoutError(url)
