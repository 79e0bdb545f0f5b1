"""``python -m penstock.loadtests.shadow``: what callers feel of a shadow that takes all traffic.

An open loop at a share of the capacity, in windows without and with a shadow in turn, on one server
whose processes share their cores with the shadow. The candidate is a copy of the version that
answers, so it costs as much and agrees. ``--server-cores`` as many as there are lets the server use
the generator's, too, which then is late now and then: raise ``--lag-limit``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table

from .disturbance import WAYS, Disturbance
from .managed import HOST, CommandFailed, Managed
from .offered import offered
from .outcome import BeyondCapacity, GeneratorLagged
from .processes import pinned
from .schedule import draw
from .shadow_rounds import Round, figures_of, refuse_unsent
from .versions import write_version
from .witness import Witness

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from .open import OpenLoop
    from .outcome import Outcome
    from .schedule import Schedule

MODEL: Final = "shadowed"
_PATH: Final = f"/v2/models/{MODEL}/infer"
_RUNNER: Final = "penstock.server.shadow.runner:serve"
_ROLLOUT: Final = f"/admin/models/{MODEL}/rollout"
_TIMEOUT_SECONDS: Final = 60.0
#: After a shadow was started or ended, before anything is measured.
_SETTLE_SECONDS: Final = 1.0
#: Rounds that are measured again, for each that is wanted: the generator lagged, or stood still.
_AGAIN: Final = 2
#: Fewer rounds say nothing.
_LEAST_ROUNDS: Final = 3


@dataclass(frozen=True, slots=True)
class ShadowPlan:
    """How to measure.

    Attributes:
        rounds: A window without and a window with a shadow in each.
        seconds: Length of a window.
        load: Share of the capacity that is offered.
        percent: Of the traffic that is copied.
        width: Width of the model's layers.
        layers: Number of layers.
        server_cores: What the server and its shadow may use.
        load_cores: What the generator may use.
        disturbance: What is done to the shadow meanwhile, one of `disturbance.WAYS`; or nothing.
        lag_limit_seconds: Of the generator's 99th percentile; a later one refuses its run.
    """

    rounds: int = 6
    seconds: float = 5.0
    load: float = 0.7
    percent: float = 100.0
    width: int = 64
    layers: int = 1
    server_cores: AbstractSet[int] = frozenset()
    load_cores: AbstractSet[int] = frozenset()
    disturbance: str = ""
    lag_limit_seconds: float = 0.005


def measure_shadow(directory: Path, plan: ShadowPlan) -> list[Round]:
    """Measure all rounds on one server.

    Raises:
        RunRefused: An answer was wrong, or the machine spoilt too many rounds.
    """
    registry = directory / "registry"
    first = write_version(registry, MODEL, 1, width=plan.width, layers=plan.layers)
    shutil.copytree(first, first.with_name("2"))
    options = ("--settle-seconds", "0", "--scan-seconds", "3600")
    with Managed(registry, directory / "server", plan.server_cores or None, options) as server:
        server.command(f"/admin/models/{MODEL}/versions/1/promote")
        witness = Witness(f"{HOST}:{server.port}", _PATH)
        with (
            pinned(plan.load_cores or os.sched_getaffinity(0)),
            offered(server.port, witness, plan.load, plan.lag_limit_seconds) as (loop, rate),
        ):
            return _rounds(server, loop, plan, rate)


def _rounds(server: Managed, loop: OpenLoop, plan: ShadowPlan, rate: float) -> list[Round]:
    """All rounds; one that the machine spoilt is measured again, not too often."""
    kept: list[Round] = []
    refused = before = 0
    while len(kept) < plan.rounds:
        try:
            found = _round(server, loop, plan, rate, len(kept))
            refuse_unsent([found])
        except (GeneratorLagged, BeyondCapacity) as error:
            print(f"measured again: {error}", file=sys.stderr, flush=True)
            refused += 1
            if refused > _AGAIN * plan.rounds:
                if len(kept) < min(_LEAST_ROUNDS, plan.rounds):
                    raise
                break
            with suppress(CommandFailed):  # it may not have begun
                server.ask("POST", f"{_ROLLOUT}/finish", {})
            time.sleep(_SETTLE_SECONDS)
            continue
        kept.append(replace(found, refused=refused - before))
        without, shadowed = (one.quantile(0.99) * 1e3 for one in (found.without, found.shadowed))
        line = f"round {len(kept)}: p99 {without:.2f} ms without, {shadowed:.2f} ms with a shadow"
        print(line, file=sys.stderr, flush=True)
        before = refused
    return kept


def _round(server: Managed, loop: OpenLoop, plan: ShadowPlan, rate: float, number: int) -> Round:
    """The same arrivals twice; which comes first changes from round to round."""
    schedule = draw("poisson", rate, plan.seconds, seed=number)
    without = None if number % 2 else _measured(server, loop, schedule)
    # The evidence is complete after 184 requests: a long step keeps the rollout from its end.
    terms = {"kind": "shadow", "version": 2, "percent": plan.percent, "hold": "24h"}
    server.ask("POST", _ROLLOUT, terms)
    _wait(server, loop, plan)
    before = _counted(server)
    way = plan.disturbance
    with Disturbance(server, _RUNNER, way) if way else nullcontext():
        shadowed, cost = _measured(server, loop, schedule)
    time.sleep(_SETTLE_SECONDS)
    copied, compared = (b - a for a, b in zip(before, _counted(server), strict=True))
    with suppress(CommandFailed) if way else nullcontext():  # it may have been given up
        server.ask("POST", f"{_ROLLOUT}/finish", {})
    time.sleep(_SETTLE_SECONDS)
    alone, cost_alone = without or _measured(server, loop, schedule)
    return Round(alone, shadowed, copied, compared, cost / cost_alone)


def _wait(server: Managed, loop: OpenLoop, plan: ShadowPlan) -> None:
    """Until the shadow computes what is sent."""
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    start = _counted(server)[1]
    while _counted(server)[1] == start:
        if time.monotonic() > deadline:
            raise CommandFailed("the shadow never began")
        loop.run(draw("poisson", 50.0, 0.2, seed=1), timeout_seconds=plan.seconds)
    time.sleep(_SETTLE_SECONDS)


def _counted(server: Managed) -> tuple[int, int]:
    """Requests copied and compared so far."""
    return (
        server.counted("penstock_shadow_copied_total"),
        server.counted("penstock_shadow_pairs_total"),
    )


def _measured(server: Managed, loop: OpenLoop, schedule: Schedule) -> tuple[Outcome, float]:
    """A window, and the seconds of processor time that the worker took for each request."""
    before = server.cpu_seconds("worker")
    outcome = loop.run(schedule)
    return outcome, (server.cpu_seconds("worker") - before) / max(1, outcome.latencies.size)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m penstock.loadtests.shadow", description=__doc__
    )
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each window, two a round")
    parser.add_argument("--load", type=float, default=0.7, help="share of the capacity")
    parser.add_argument("--percent", type=float, default=100.0, help="of the traffic, copied")
    parser.add_argument("--width", type=int, default=64, help="of the model's layers")
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument(
        "--server-cores", type=int, default=0, help="default: all but one, the generator's"
    )
    parser.add_argument("--disturb", choices=WAYS, default="", help="what the shadow does amid it")
    parser.add_argument(
        "--lag-limit", type=float, default=0.005, help="of the generator, seconds; else no result"
    )
    parser.add_argument("--json", type=Path, help="also write the figures there")
    options = parser.parse_args(arguments)
    cores = sorted(os.sched_getaffinity(0))
    plan = ShadowPlan(
        options.rounds,
        options.seconds,
        options.load,
        options.percent,
        options.width,
        options.layers,
        frozenset(cores[: options.server_cores or -1] or cores),
        frozenset(cores[-1:]),
        options.disturb,
        options.lag_limit,
    )
    with tempfile.TemporaryDirectory(prefix="shadow-") as name:
        figures = figures_of(measure_shadow(Path(name), plan))
    table = Table(title="a shadow beside the primary", title_justify="left", show_header=False)
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), f"{value:,.3f}".rstrip("0").rstrip("."))
    Console().print(table)
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
