"""``python -m penstock.loadtests.monitoring_cost``: all monitoring on against off, side by side.

Two servers run on the same core and are asked in turn, a short window each, so that what the
machine does to one it does to the other; between windows the monitor catches up. One start of a
server is some percent faster or slower than the next, so both start anew for every round.
``--all-cores`` lets the servers use the core of the load, too. ``--model`` is an ONNX file such as
``examples/registry/breast-cancer/2/model.onnx`` (30 features).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table

from .books import settled_books
from .closed import ClosedLoop
from .connections import Connections
from .contestants import cases_for, penstock
from .managed import HOST, Managed
from .measure import Plan, default_plan
from .models import ModelFile
from .processes import pinned
from .scenarios import Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME: Final = "breast-cancer"
_WARM_UP_SECONDS: Final = 2.0
_MILLISECONDS: Final = 1e3


def window(server: Managed, model: ModelFile, connections: int, seconds: float) -> dict[str, float]:
    """Requests per second and latencies of one window."""
    scenario = Scenario("json", connections=connections)
    cases = cases_for(penstock(), scenario, model, f"{HOST}:{server.port}")
    cpu = server.process.cpu_seconds()
    with Connections(HOST, server.port, connections) as opened:
        outcome = ClosedLoop(opened, cases).run(seconds)
    cpu = server.process.cpu_seconds() - cpu
    return {
        "requests_per_second": outcome.throughput,
        "p50_milliseconds": outcome.quantile(0.5) * _MILLISECONDS,
        "p99_milliseconds": outcome.quantile(0.99) * _MILLISECONDS,
        "cpu_microseconds_per_request": cpu * 1e6 / max(1, outcome.latencies.size),
    }


def compare(
    registry: Path, model: ModelFile, plan: Plan, connections: list[int], scratch: Path
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Windows in pairs, each with its number of connections, of two servers that are started."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(pinned(plan.load_cores))
        cores = plan.server_cores
        servers = {}
        for name, options in (("off", ("--sample-rate", "0")), ("on", ())):
            place = scratch / name
            shutil.rmtree(place, ignore_errors=True)
            servers[name] = stack.enter_context(Managed(registry, place, cores, options))
        for count in connections:
            for server in servers.values():
                window(server, model, count, _WARM_UP_SECONDS)
            for number in range(plan.repeats):
                pair = {}
                for name in ("on", "off") if number % 2 else ("off", "on"):
                    settled_books(servers["on"], 30.0)
                    pair[name] = window(servers[name], model, count, plan.seconds)
                yield count, pair


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m penstock.loadtests.monitoring_cost", description=__doc__
    )
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=4, help="each with servers that start anew")
    parser.add_argument("--repeats", type=int, default=6, help="pairs of windows in a round")
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--connections", type=int, nargs="+", default=[64, 8, 1])
    parser.add_argument(
        "--all-cores", action="store_true", help="of the load, too, for the servers"
    )
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args(arguments)
    console = Console(log_path=False)
    plan = default_plan(repeats=options.repeats, seconds=options.seconds)
    if options.all_cores:
        plan = replace(plan, server_cores=plan.server_cores | plan.load_cores)
    model = ModelFile(_NAME, options.model)
    found: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory(prefix="penstock-cost-") as scratch:
        registry = Path(scratch) / "registry"
        version = registry / _NAME / "1"
        version.mkdir(parents=True)
        shutil.copyfile(model.path, version / "model.onnx")
        for number in range(options.rounds):
            for count, pair in compare(registry, model, plan, options.connections, Path(scratch)):
                found.setdefault(f"json-c{count}", []).append(pair)
            console.log(f"round {number + 1} of {options.rounds}")
    console.print(_table(found))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    return 0


def _table(found: dict[str, list[dict[str, Any]]]) -> Table:
    table = Table(title="All monitoring on / off: medians of the ratios (middle half)")
    for column in ("load", "requests/s off", "on / off", "p99 off, ms", "p99 on / off"):
        table.add_column(column, justify="left" if column == "load" else "right")
    for name, pairs in found.items():
        row = [name]
        for figure, digits in (("requests_per_second", 0), ("p99_milliseconds", 2)):
            ratios = sorted(one["on"][figure] / one["off"][figure] for one in pairs)
            low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
            row.append(f"{median(one['off'][figure] for one in pairs):,.{digits}f}")
            row.append(f"{median(ratios):.3f} ({low:.3f}..{high:.3f})")
        table.add_row(*row)
    return table


if __name__ == "__main__":
    raise SystemExit(main())
