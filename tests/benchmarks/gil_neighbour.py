"""What a model that holds the interpreter lock does to another one.

    python tests/benchmarks/gil_neighbour.py [SECONDS]

A small ONNX model is asked by one connection: alone, and beside a forest of scikit-learn whose runs
take about 20 ms and which another process asks without a pause. The forest is isolated, as it is by
default, and in the worker for comparison. It prints the median and the 99th percentile. The server
has all cores but the last, which the clients have. With one core left, both processes share it, and
the 99th percentile shows how long the kernel lets one of them run; with `priority = "idle"` it lets
the worker run at once. Use a machine that has nothing else to do.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import urllib.request
from pathlib import Path

import numpy as np
import skops.io
from isolation_cost import BODY, EXAMPLES, JSON, MODEL, PATH, decoded
from sklearn.ensemble import RandomForestRegressor

from penstock.loadtests.cases import Case
from penstock.loadtests.closed import ClosedLoop
from penstock.loadtests.connections import Connections
from penstock.loadtests.managed import Managed
from penstock.loadtests.wire import build_request

COLUMNS, TREES = 10, 300
SLOW = json.dumps({"instances": [[0.5] * COLUMNS]}).encode()
TRUSTED = "sklearn.tree._tree.Tree"


def write(registry: Path, isolation: str, priority: str) -> None:
    shutil.copytree(EXAMPLES / MODEL, registry / MODEL)
    (registry / "forest" / "1").mkdir(parents=True)
    x = np.random.default_rng(0).random((500, COLUMNS))
    forest = RandomForestRegressor(TREES, n_jobs=1).fit(x, x[:, 0] * x[:, 1])
    skops.io.dump(forest, registry / "forest" / "1" / "model.skops")
    settings = f'isolation = "{isolation}"\n[process]\npriority = "{priority}"\n'
    (registry / "forest" / "model.toml").write_text(settings)


def ask_all_the_time(port: int) -> None:
    url = f"http://127.0.0.1:{port}/v1/models/forest:predict"
    while True:
        with urllib.request.urlopen(urllib.request.Request(url, SLOW, JSON)) as answer:
            answer.read()


def latencies(port: int, seconds: float) -> np.ndarray:
    """Of the ONNX model, in seconds."""
    url = f"http://127.0.0.1:{port}{PATH}"
    with urllib.request.urlopen(urllib.request.Request(url, BODY, JSON)) as answer:
        found = json.loads(answer.read())["outputs"]
    expected = {one["name"]: np.array(one["data"]) for one in found}
    request = build_request(f"127.0.0.1:{port}", PATH, BODY, JSON)
    with Connections("127.0.0.1", port, 1) as connections:
        loop = ClosedLoop(connections, [Case(request, expected, decoded)])
        loop.run(seconds / 4)
        return np.array(loop.run(seconds).latencies)


def show(what: str, found: np.ndarray) -> None:
    median, most = np.quantile(found, [0.5, 0.99]) * 1e6
    sys.stdout.write(f"{what:>36}: median {median:7.0f} us, p99 {most:7.0f} us\n")


def compare(place: Path, isolation: str, priority: str, seconds: float) -> None:
    registry = place / "registry"
    write(registry, isolation, priority)
    cores = sorted(os.sched_getaffinity(0))
    os.environ["PENSTOCK_TRUSTED_TYPES"] = TRUSTED
    with Managed(registry, place, set(cores[:-1] or cores)) as server:
        show("alone", latencies(server.port, seconds))
        other = multiprocessing.Process(target=ask_all_the_time, args=(server.port,), daemon=True)
        other.start()
        try:
            show(f"beside it, in the {isolation} ({priority})", latencies(server.port, seconds))
        finally:
            other.kill()
            other.join()


if __name__ == "__main__":
    for kind in (("process", "idle"), ("process", "normal"), ("worker", "normal")):
        with tempfile.TemporaryDirectory() as name:
            compare(Path(name), *kind, float(sys.argv[1]) if len(sys.argv) > 1 else 4.0)
