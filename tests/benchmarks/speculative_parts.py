"""``python tests/benchmarks/speculative_parts.py``: what each speculative part gains.

Each part is measured on its own case.

One server runs on one core, the load on another. Windows with the part and without it take turns in
the same process, so that neither the luck of a start nor the noise of the machine falls on one side
alone. A part is switched by replacing its method while the server runs: the server itself has one
option for all that is remembered of requests, ``request_caching``, and none for single parts.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final, Self

import uvicorn
import uvloop
from rich.console import Console
from rich.table import Table

from penstock.loadtests.closed import ClosedLoop
from penstock.loadtests.connections import Connections
from penstock.loadtests.contestants import cases_for, penstock, write_copies
from penstock.loadtests.measure import default_plan
from penstock.loadtests.models import ModelFile, build
from penstock.loadtests.processes import pinned
from penstock.loadtests.scenarios import Scenario
from penstock.server import create_app
from penstock.server.http.coalescing.coalescer import Coalescer
from penstock.server.http.coalescing.head_cache import HeadCache
from penstock.server.http.coalescing.linger import Linger
from penstock.server.http.fastpath import FastPathProtocol
from penstock.server.inference.halt_poll import HaltPoll

SMALL: Final = Path("examples/registry/breast-cancer/2/model.onnx")
HOST: Final = "127.0.0.1"


def nothing(*_: Any) -> None:
    """In the place of a method that finds or does nothing."""


#: What replaces the methods of a part.
PARTS: Final[dict[str, list[tuple[type, str, Any]]]] = {
    "head cache": [(HeadCache, "get", nothing)],
    "body templates": [(Coalescer, "read", nothing)],
    "coalescing": [(Coalescer, "try_take", nothing)],
    "linger": [(Linger, "wanted", False)],
    "halt poll": [(HaltPoll, "answered", nothing)],
}


@dataclass(frozen=True, slots=True)
class Case:
    """A part on its own case.

    Attributes:
        part: Is switched.
        connections: Each with one request in flight.
        encoding: Of the requests.
        model: ``small`` runs for 20 us, ``cnn`` for milliseconds.
        without: Parts that are off on both sides, because they would hide it.
    """

    part: str
    connections: int
    encoding: str = "json"
    model: str = "small"
    without: tuple[str, ...] = ()


CASES: Final = (
    Case("head cache", 1, without=("coalescing", "body templates")),
    Case("body templates", 1, without=("coalescing",)),
    Case("coalescing", 64),
    Case("coalescing", 8),
    Case("coalescing", 64, "msgpack"),
    Case("linger", 8),
    Case("linger", 4),
    Case("halt poll", 1),
)


def serve(registry: Path) -> None:
    """A server; each line of the standard input switches a part: ``on NAME`` or ``off NAME``."""
    listening = socket.create_server((HOST, 0))
    kept: dict[str, list[Any]] = {}
    server = uvicorn.Server(
        uvicorn.Config(create_app(registry), http=FastPathProtocol, log_level="warning")
    )

    async def run() -> None:
        def switch() -> None:
            way, _, part = sys.stdin.readline().strip().partition(" ")
            if not way:
                os._exit(0)  # nobody asks any more
            if way == "off" and part not in kept:
                kept[part] = [owner.__dict__.get(name) for owner, name, _ in PARTS[part]]
                for owner, name, other in PARTS[part]:
                    setattr(owner, name, other)
            elif way == "on" and part in kept:
                for (owner, name, _), before in zip(PARTS[part], kept.pop(part), strict=True):
                    if before is None:
                        delattr(owner, name)
                    else:
                        setattr(owner, name, before)
            reply(str(sum(os.times()[:2])))

        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), switch)
        await server.serve([listening])

    def reply(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    reply(str(listening.getsockname()[1]))
    uvloop.run(run())


class Server:
    """The server as a process on cores of its own."""

    def __init__(self, registry: Path, cores: Any) -> None:
        self._command = [sys.executable, __file__, "--serve", str(registry)]
        self._cores = cores

    def __enter__(self) -> Self:
        with pinned(self._cores):
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        self.port = int(self._line())
        return self

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def switch(self, way: str, part: str) -> float:
        """Switch a part; returns the processor seconds of the server so far."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{way} {part}\n")
        self._process.stdin.flush()
        return float(self._line())

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def compare(case: Case, server: Server, model: ModelFile, pairs: int, seconds: float) -> Any:
    """Ratios with the part to without it: requests/s, processor time a request, and median time."""
    scenario = Scenario("parts", encoding=case.encoding, connections=case.connections)
    cases = cases_for(penstock(), scenario, model, f"{HOST}:{server.port}")
    found: dict[str, list[float]] = {"requests/s": [], "CPU a request": [], "p50": []}
    for part in case.without:
        server.switch("off", part)
    with Connections(HOST, server.port, case.connections) as opened:
        loop = ClosedLoop(opened, cases)

        def window(way: str, length: float) -> dict[str, float]:
            before = server.switch(way, case.part)
            outcome = loop.run(length)
            spent = server.switch(way, case.part) - before
            count = max(1, outcome.latencies.size)
            return {
                "requests/s": outcome.throughput,
                "CPU a request": spent / count,
                "p50": outcome.quantile(0.5),
            }

        for way in ("on", "off"):
            window(way, 1.0)
        for number in range(pairs):
            ways = ("on", "off") if number % 2 else ("off", "on")
            both = {way: window(way, seconds) for way in ways}
            for name, ratios in found.items():
                ratios.append(both["on"][name] / max(1e-12, both["off"][name]))
    for part in (case.part, *case.without):
        server.switch("on", part)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=40, help="of windows, of each case")
    parser.add_argument("--seconds", type=float, default=0.3, help="of a window")
    parser.add_argument("--only", choices=sorted(PARTS), help="one part")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    console = Console()
    plan = default_plan()
    names = ("requests/s", "CPU a request", "p50")
    table = Table("part", "case", *names, title="with the part, as a ratio to without it")
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="penstock-parts-")))
        models = {"small": ModelFile("small", SMALL), "cnn": build("cnn", place)}
        stack.enter_context(pinned(plan.load_cores))
        servers = {}
        for name, model in models.items():
            write_copies(place / name, model, 1)
            servers[name] = stack.enter_context(Server(place / name, plan.server_cores))
        for case in CASES:
            if options.only in {None, case.part}:
                found = compare(
                    case, servers[case.model], models[case.model], options.pairs, options.seconds
                )
                shown = f"{case.model}, {case.encoding}, {case.connections} connections"
                table.add_row(case.part, shown, *(_ratio(found[name]) for name in names))
    console.print(table)


def _ratio(ratios: list[float]) -> str:
    """Median and middle half."""
    ordered = sorted(ratios)
    quarter = len(ordered) // 4
    return f"{median(ordered):.3f} ({ordered[quarter]:.3f}..{ordered[-1 - quarter]:.3f})"


if __name__ == "__main__":
    main()
