"""``python -m penstock.loadtests.side_by_side QUESTION``: variants of Penstock, alternate windows.

The servers of all sides run at once on the same core and are asked in turn, a short window each, so
that what the machine does to one it does to the other; between windows the monitors catch up. One
start of a server is some percent faster or slower than the next, so all start anew for every round.
Ratios are of windows next to each other. CPU time is that of the workers; the monitor takes what is
left over.

    monitoring  all monitoring on against off
    workers     two workers against one, each with as many connections; on all cores, which are
                then busier, as beside two servers of one worker each
    tracing     1 % of the predictions traced against none, for a collector on port 4318
    models      one of 100 and of 1,000 models against the only one
    encodings   msgpack and the binary extension against JSON
    checkouts   this Penstock against the one of another interpreter (``--other``), in one encoding
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table

from .books import settled_books
from .closed import ClosedLoop
from .connections import Connections
from .contestants import cases_for, penstock, write_copies
from .managed import HOST, Managed
from .measure import Plan, default_plan
from .models import ModelFile
from .outcome import OK, RunRefused
from .processes import pinned
from .scenarios import Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_NAME: Final = "breast-cancer"
_WARM_UP_SECONDS: Final = 2.0
_SETTLE_SECONDS: Final = 30.0
_FIGURES: Final = {
    "requests_per_second": "requests/s",
    "worker_cpu_microseconds_per_request": "worker CPU µs",
    "p50_milliseconds": "p50 ms",
    "p99_milliseconds": "p99 ms",
}


@dataclass(frozen=True, slots=True)
class Side:
    """One variant.

    Attributes:
        name: For the table.
        options: Further arguments of ``penstock serve``.
        models: In its registry; one of them is asked.
        encoding: As in `Scenario`.
        workers: Each gets so many connections as the load says.
        servers: With so many workers together.
        python: The interpreter whose Penstock this is.
    """

    name: str
    options: tuple[str, ...] = ()
    models: int = 1
    encoding: str = "json"
    workers: int = 1
    servers: int = 1
    python: str = sys.executable


QUESTIONS: Final = {
    "monitoring": (Side("off", ("--sample-rate", "0")), Side("on")),
    "workers": (
        Side("1 worker"),
        Side("2 workers", ("--workers", "2"), workers=2),
        Side("2 servers", workers=2, servers=2),
    ),
    "models": (
        Side("1 model"),
        Side("100 models", models=100),
        Side("1,000 models", models=1000),
    ),
    "tracing": (Side("off"), Side("1 %", ("--otlp-endpoint", "http://127.0.0.1:4318"))),
    "encodings": tuple(Side(name, encoding=name) for name in ("json", "msgpack", "binary")),
}


def window(
    side: Side, servers: Sequence[Managed], model: ModelFile, connections: int, seconds: float
) -> dict[str, float]:
    """Figures of one window.

    Raises:
        RunRefused: An answer was wrong, or one was none at all (its status is not 200).
    """
    scenario = Scenario("window", encoding=side.encoding, connections=connections * side.workers)
    port, *more_ports = [server.port for server in servers]
    cases = cases_for(penstock(), scenario, model, f"{HOST}:{port}")
    cpu = _cpu_seconds(servers)
    with Connections(HOST, port, scenario.connections, *more_ports) as opened:
        outcome = ClosedLoop(opened, cases).run(seconds)
    cpu = _cpu_seconds(servers) - cpu
    if outcome.statuses.keys() != {OK}:
        raise RunRefused(f"side {side.name!r} answered with {outcome.statuses}, expected only {OK}")
    return {
        "requests_per_second": outcome.throughput,
        "worker_cpu_microseconds_per_request": cpu * 1e6 / max(1, outcome.latencies.size),
        "p50_milliseconds": outcome.quantile(0.5) * 1e3,
        "p99_milliseconds": outcome.quantile(0.99) * 1e3,
    }


def _cpu_seconds(servers: Sequence[Managed]) -> float:
    return sum(server.cpu_seconds("worker") for server in servers)


def compare(
    sides: Sequence[Side], model: ModelFile, plan: Plan, connections: list[int], scratch: Path
) -> Iterator[tuple[int, dict[str, Any]]]:
    """One round: the windows of all sides next to each other, with their connections."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(pinned(plan.load_cores))
        servers: dict[Side, list[Managed]] = {side: [] for side in sides}
        for side in sides:
            registry = scratch / f"registry-{side.models}"
            if not registry.is_dir():
                write_copies(registry, model, side.models)
            timeout = penstock(models=side.models).ready_seconds
            for number in range(side.servers):
                place = scratch / f"{side.name}-{number}"
                shutil.rmtree(place, ignore_errors=True)
                server = Managed(
                    registry, place, plan.server_cores, side.options, timeout, side.python
                )
                servers[side].append(stack.enter_context(server))
        for count in connections:
            for side in sides:
                window(side, servers[side], model, count, _WARM_UP_SECONDS)
            for number in range(plan.repeats):
                found = {}
                for side in reversed(sides) if number % 2 else sides:
                    for server in chain.from_iterable(servers.values()):
                        settled_books(server, _SETTLE_SECONDS)
                    found[side.name] = window(side, servers[side], model, count, plan.seconds)
                yield count, found


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m penstock.loadtests.side_by_side",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("question", choices=(*QUESTIONS, "checkouts"))
    parser.add_argument("--model", type=Path, required=True, help="ONNX file, 30 features")
    parser.add_argument("--rounds", type=int, default=4, help="each with servers that start anew")
    parser.add_argument("--repeats", type=int, default=6, help="windows of each side in a round")
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--connections", type=int, nargs="+", default=[64, 8, 1])
    parser.add_argument(
        "--all-cores", action="store_true", help="of the load, too, for the servers"
    )
    parser.add_argument("--other", help="for checkouts: an interpreter with another Penstock")
    parser.add_argument("--encoding", default="json", help="for checkouts: json, msgpack or binary")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args(arguments)
    console = Console(log_path=False)
    plan = default_plan(repeats=options.repeats, seconds=options.seconds)
    if options.all_cores or options.question == "workers":
        plan = replace(plan, server_cores=plan.server_cores | plan.load_cores)
    if options.question == "checkouts" and not options.other:
        parser.error("checkouts needs --other PYTHON")
    sides = QUESTIONS.get(options.question) or _checkouts(options.other, options.encoding)
    model = ModelFile(_NAME, options.model)
    found: dict[int, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory(prefix="penstock-sides-") as scratch:
        for number in range(options.rounds):
            for count, one in compare(sides, model, plan, options.connections, Path(scratch)):
                found.setdefault(count, []).append(one)
            console.log(f"round {number + 1} of {options.rounds}")
    for count, windows in found.items():
        console.print(_table(f"{count} connections", [side.name for side in sides], windows))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    return 0


def _checkouts(other: str, encoding: str) -> tuple[Side, ...]:
    return Side("other", encoding=encoding, python=other), Side("this", encoding=encoding)


def _table(title: str, names: Sequence[str], windows: Sequence[dict[str, Any]]) -> Table:
    """Medians, and below them the median of the ratios to the first side (middle half)."""
    table = Table("", *_FIGURES.values(), title=title)
    for name in names:
        row = [name]
        for figure in _FIGURES:
            text = f"{median(one[name][figure] for one in windows):,.4g}"
            if name != names[0]:
                ratios = sorted(one[name][figure] / one[names[0]][figure] for one in windows)
                low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
                text += f"\n{median(ratios):.3f} ({low:.3f}..{high:.3f})"
            row.append(text)
        table.add_row(*row)
    return table


if __name__ == "__main__":
    raise SystemExit(main())
