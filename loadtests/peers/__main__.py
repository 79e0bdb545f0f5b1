"""``python -m penstock.loadtests.peers``: every server, every scenario, one report."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
import sys
import tempfile
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from penstock.loadtests.contestants import Contestant, echo, penstock, variants
from penstock.loadtests.measure import Plan, default_plan, measure
from penstock.loadtests.models import ModelFile, build
from penstock.loadtests.plots import plot
from penstock.loadtests.report import Row, save, summarise, table, to_json
from penstock.loadtests.scenarios import Scenario, closed_scenarios, overload_scenarios
from penstock.monitoring.distribution import DISTRIBUTION

from .environments import InstallFailed, install, installed_versions
from .peers import Peer, peers

_REPORT_WIDTH = 140
_ROOT = Path(__file__).resolve().parents[2]
_MODEL = _ROOT / "examples" / "registry" / "breast-cancer" / "2" / "model.onnx"


def main(arguments: list[str] | None = None) -> int:
    """Install, measure, report. Ends with 1 when any server has no figures."""
    options = _parser().parse_args(arguments)
    console = Console(log_path=False)
    if not console.is_terminal:
        console.width = _REPORT_WIDTH
    scenarios = _scenarios(options)
    available, contestants, missing = _contestants(options, console)
    plan = default_plan(
        repeats=options.repeats, seconds=options.seconds, warmup_seconds=options.warmup
    )
    if options.share_cores:
        cores = plan.server_cores | plan.load_cores
        plan = replace(plan, server_cores=cores, load_cores=cores)
    with tempfile.TemporaryDirectory(prefix="penstock-models-") as scratch:
        names = {scenario.model for scenario in scenarios}
        models = {name: build(name, Path(scratch)) for name in names - {"breast-cancer"}}
        models["breast-cancer"] = ModelFile("breast-cancer", options.model)
        measurements = measure(contestants, scenarios, models, plan, console.log)
    rows = summarise(measurements)
    for scenario in dict.fromkeys(row.scenario for row in rows):
        console.print(table(rows, scenario))
    context = _context(plan, available, contestants, missing)
    result = options.results / f"{options.group}-{_now():%Y-%m-%d}.json"
    save(result, to_json(rows, measurements, context))
    console.print(f"wrote {result}")
    if options.images:
        pictures = plot(rows, options.images)
        console.print(f"drew {len(pictures)} pictures in {options.images}")
    return _verdict(rows, missing, console)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m penstock.loadtests.peers", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="rounds over all servers")
    parser.add_argument("--seconds", type=float, default=4.0, help="each measured window")
    parser.add_argument("--warmup", type=float, default=1.0, help="seconds of load before it")
    parser.add_argument("--connections", default="64,8,1", help="of the closed loops")
    parser.add_argument("--only", default="", help="names of servers, separated by commas")
    parser.add_argument("--scenarios", default="", help="names, or their beginnings")
    parser.add_argument(
        "--group",
        choices=("peers", "variants"),
        default="peers",
        help="Penstock against its peers, or against itself",
    )
    parser.add_argument(
        "--share-cores",
        action="store_true",
        help="server and load on all cores: for CPU time per answer of several workers",
    )
    parser.add_argument("--model", type=Path, default=_MODEL, help="the small model")
    parser.add_argument("--results", type=Path, default=_ROOT / "loadtests" / "results")
    parser.add_argument("--images", type=Path, help="draw into this folder, such as docs/images")
    return parser


def _scenarios(options: argparse.Namespace) -> list[Scenario]:
    counts = tuple(int(count) for count in options.connections.split(","))
    every = closed_scenarios(counts)
    if options.group == "peers":
        every += overload_scenarios()
    wanted = tuple(options.scenarios.split(",")) if options.scenarios else ("",)
    needed = {s.capacity_from for s in every if s.name.startswith(wanted)}
    return [s for s in every if s.name.startswith(wanted) or s.name in needed]


def _contestants(
    options: argparse.Namespace, console: Console
) -> tuple[list[Peer], list[Contestant], dict[str, str]]:
    """Peers that are installed, everybody who takes part, and why some cannot."""
    wanted = set(filter(None, options.only.split(",")))
    ours = [penstock(), echo()] if options.group == "peers" else variants()
    theirs = peers() if options.group == "peers" else []
    known = {one.name for one in ours} | {peer.contestant.name for peer in theirs}
    if unknown := wanted - known:
        sys.exit(
            f"unknown server {', '.join(sorted(unknown))}; expected {', '.join(sorted(known))}"
        )
    available, missing = [], {}
    for peer in theirs:
        if wanted and peer.contestant.name not in wanted:
            continue
        try:
            install(peer.environment, console.log)
            available.append(peer)
        except InstallFailed as error:
            missing[peer.contestant.name] = str(error)
            console.log(f"{peer.contestant.name} cannot be installed here: {error}")
    chosen = [one for one in ours if not wanted or one.name in wanted]
    return available, chosen + [peer.contestant for peer in available], missing


def _context(
    plan: Plan, available: list[Peer], contestants: list[Contestant], missing: dict[str, str]
) -> dict[str, Any]:
    """What a reader must know to judge or repeat the figures."""
    environments = {peer.environment.name: peer.environment for peer in available}
    packages = (DISTRIBUTION, "uvicorn", "uvloop", "httptools", "onnxruntime", "numpy", "orjson")
    return {
        "when": _now().isoformat(timespec="seconds"),
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "kernel": platform.release(),
            "python": platform.python_version(),
        },
        "plan": {
            "repeats": plan.repeats,
            "seconds": plan.seconds,
            "warmup_seconds": plan.warmup_seconds,
            "server_cores": sorted(plan.server_cores),
            "load_cores": sorted(plan.load_cores),
        },
        "versions": {name: version(name) for name in packages},
        "configurations": {one.name: one.note for one in contestants},
        "peer_versions": {name: installed_versions(one) for name, one in environments.items()},
        "not_installed": missing,
    }


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), "")


def _verdict(rows: list[Row], missing: dict[str, str], console: Console) -> int:
    """Say what failed; a comparison with holes must not look complete."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for failure in row.failures:
            reasons.setdefault((row.contestant, failure), []).append(row.scenario)
    for (contestant, failure), scenarios in reasons.items():
        console.print(f"{contestant} ({', '.join(scenarios)}): {failure}", markup=False)
    return 1 if reasons or missing else 0


if __name__ == "__main__":
    sys.exit(main())
