"""What isolation costs: ``python tests/benchmarks/isolation_cost.py [SECONDS]``.

One model of the examples in the worker, and in a process of its own, on one server each that has
one core: the median latency with one connection, and requests a second with 64. Every answer is
compared with that of the worker. Run it on a machine that has nothing else to do.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

from penstock.loadtests.cases import Case
from penstock.loadtests.closed import ClosedLoop
from penstock.loadtests.connections import Connections
from penstock.loadtests.managed import Managed
from penstock.loadtests.wire import build_request

EXAMPLES = Path(__file__).parents[2] / "examples" / "registry"
MODEL = "breast-cancer"
PATH = f"/v2/models/{MODEL}/infer"
TENSOR = {"name": "features", "datatype": "FP32", "shape": [1, 30], "data": [[0.5] * 30]}
BODY = json.dumps({"inputs": [TENSOR]}).encode()
JSON = {"content-type": "application/json"}
CONNECTIONS = (1, 64)


def decoded(response: Any) -> dict[str, Any]:
    return {one["name"]: np.array(one["data"]) for one in json.loads(response.body)["outputs"]}


def figures(place: Path, isolation: str, seconds: float) -> dict[int, tuple[float, float]]:
    """By connections: requests a second, and the median latency in seconds."""
    registry = place / isolation / "registry"
    shutil.copytree(EXAMPLES / MODEL, registry / MODEL)
    (registry / MODEL / "model.toml").write_text(f'isolation = "{isolation}"\n')
    core = min(os.sched_getaffinity(0))
    with Managed(registry, place / isolation, {core}) as server:
        url = f"http://127.0.0.1:{server.port}{PATH}"
        with urllib.request.urlopen(urllib.request.Request(url, BODY, JSON)) as answer:
            outputs = json.loads(answer.read())["outputs"]
        expected = {one["name"]: np.array(one["data"]) for one in outputs}
        request = build_request(f"127.0.0.1:{server.port}", PATH, BODY, JSON)
        found = {}
        for count in CONNECTIONS:
            with Connections("127.0.0.1", server.port, count) as connections:
                loop = ClosedLoop(connections, [Case(request, expected, decoded)])
                loop.run(seconds / 4)
                outcome = loop.run(seconds)
            rate = len(outcome.latencies) / outcome.seconds
            found[count] = rate, float(np.median(outcome.latencies))
        return found


def main(seconds: float) -> None:
    with tempfile.TemporaryDirectory() as name:
        worker, process = (figures(Path(name), one, seconds) for one in ("worker", "process"))
    for count in CONNECTIONS:
        (rate, latency), (isolated_rate, isolated_latency) = worker[count], process[count]
        sys.stdout.write(
            f"{count} connections: worker {rate:,.0f}/s, median {latency * 1e6:.0f} us; process "
            f"{isolated_rate:,.0f}/s, median {isolated_latency * 1e6:.0f} us, "
            f"{(isolated_latency - latency) * 1e6:+.0f} us\n"
        )


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 4.0)
