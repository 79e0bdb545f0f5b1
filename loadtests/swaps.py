"""``python -m penstock.loadtests.swaps``: what swaps, loads and large registries cost.

Three measurements, each on servers of its own: an open loop while versions are promoted and rolled
back, many load and unload cycles, and registries of growing size.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final, Self

from rich.console import Console
from rich.table import Table

from .cycles import measure_cycles
from .managed import HOST, Managed, send_command
from .medians import ratio_figures
from .offered import offered
from .outcome import OK, GeneratorLagged
from .processes import pinned
from .registries import measure_many
from .schedule import draw
from .versions import explicit, write_version
from .witness import Move, Witness, last_of_former, strangers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from .outcome import Outcome

MODEL: Final = "swapped"
_PATH: Final = f"/v2/models/{MODEL}/infer"
#: Rounds that are made again because the generator lagged.
_AGAIN: Final = 3


@dataclass(frozen=True, slots=True)
class SwapPlan:
    """How to measure swaps.

    Attributes:
        swaps: Over all rounds; each tenth is a rollback.
        rounds: A calm window and one with swaps in each.
        seconds: Length of a window.
        load: Share of the capacity that is offered.
        width: Width of the model's layers.
        layers: Number of layers.
        dense: As `penstock.loadtests.versions.write_version` has it.
        server_cores: What the server may use.
        load_cores: What the generator may use.
        lag_limit_seconds: Of the generator's 99th percentile; a later one refuses its run.
        late_moves: Whether to make moves that do not fit in the window, too: without traffic they
            show nothing about it.
    """

    swaps: int = 100
    rounds: int = 4
    seconds: float = 15.0
    load: float = 0.7
    width: int = 64
    layers: int = 1
    dense: bool = True
    server_cores: AbstractSet[int] = frozenset()
    load_cores: AbstractSet[int] = frozenset()
    lag_limit_seconds: float = 0.005
    late_moves: bool = False


def measure_swaps(directory: Path, plan: SwapPlan) -> dict[str, float]:
    """Promote version after version under load.

    Returns:
        Figures, each with its unit in its name.

    Raises:
        RunRefused: An answer was wrong, or the generator lagged again and again.
    """
    registry = directory / "registry"
    explicit(registry, MODEL)
    most = plan.swaps + _AGAIN * (plan.swaps // plan.rounds)
    for number in range(1, most + 2):
        shape = {"width": plan.width, "layers": plan.layers}
        write_version(registry, MODEL, number, dense=plan.dense, **shape)
    options = ("--settle-seconds", "0", "--scan-seconds", "3600")
    with Managed(registry, directory / "server", plan.server_cores or None, options) as server:
        server.command(f"/admin/models/{MODEL}/versions/1/promote")
        with pinned(plan.load_cores or os.sched_getaffinity(0)):
            return _swap_rounds(server, plan)


def _swap_rounds(server: Managed, plan: SwapPlan) -> dict[str, float]:
    witness = Witness(f"{HOST}:{server.port}", _PATH)
    calm: list[Outcome] = []
    swapped: list[Outcome] = []
    moves: list[Move] = []
    made = 0
    with offered(server.port, witness, plan.load, plan.lag_limit_seconds) as (loop, rate):
        for number in range(plan.rounds + _AGAIN):
            try:
                quiet = loop.run(draw("poisson", rate, plan.seconds, seed=number))
                with _Operator(server, moves, plan) as operator:
                    busy = loop.run(draw("poisson", rate, plan.seconds, seed=100 + number))
            except GeneratorLagged as error:
                print(f"measured again: {error}", file=sys.stderr, flush=True)
                continue
            calm.append(quiet)
            swapped.append(busy)
            made += operator.made
            if len(calm) == plan.rounds:
                break
    if not calm:
        raise GeneratorLagged("the generator sent late in every round")
    figures = {"moves_in_rounds_kept": float(made), "offered_per_second": rate}
    return _swap_figures(witness, calm, swapped, moves) | figures


class _Operator:
    """A process that swaps versions while the context lasts.

    Args:
        server: The server of the versions.
        moves: All that were made so far; those to come are added, whatever happens meanwhile.
        plan: Number and speed of the swaps.

    Attributes:
        made: Moves of this context, when it is over.
    """

    def __init__(self, server: Managed, moves: list[Move], plan: SwapPlan) -> None:
        self._moves = moves
        self.made = 0
        context = multiprocessing.get_context("fork")
        self._ours, theirs = context.Pipe()
        begin = moves[-1].version if moves else 1
        each = plan.swaps // plan.rounds
        arguments = (server.admin_port, server.token, begin, each, plan, theirs)
        self._process = context.Process(target=_operate, args=arguments)

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        made = self._ours.recv()
        self._process.join()
        self.made = len(made)
        self._moves.extend(made)


def _operate(port: int, token: str, begin: int, count: int, plan: SwapPlan, pipe: Any) -> None:
    """In a process of its own: spread promotions over the window; report when each was made.

    What does not fit in the window is left out, unless the plan says otherwise.
    """
    os.sched_setaffinity(0, plan.server_cores or os.sched_getaffinity(0))
    models = f"/admin/models/{MODEL}"
    moves = []
    start = time.perf_counter()
    for step in range(count):
        due = start + 0.05 * plan.seconds + 0.9 * plan.seconds * step / count
        time.sleep(max(0.0, due - time.perf_counter()))
        if not plan.late_moves and time.perf_counter() - start > 0.95 * plan.seconds:
            break
        former, version = begin + step, begin + step + 1
        if not former % 10:
            moves.append(
                _move(port, token, f"{models}/versions/{version}/promote", former, version)
            )
            moves.append(_move(port, token, f"{models}/rollback", version, former))
        moves.append(_move(port, token, f"{models}/versions/{version}/promote", former, version))
    pipe.send(moves)


def _move(port: int, token: str, path: str, former: int, version: int) -> Move:
    sent = time.perf_counter()
    send_command(port, token, path)
    return Move(version, sent, time.perf_counter(), former)


def _swap_figures(
    witness: Witness, calm: Sequence[Outcome], swapped: Sequence[Outcome], moves: Sequence[Move]
) -> dict[str, float]:
    failed = [
        sum(n for status, n in one.statuses.items() if status != OK) + one.broken + one.unanswered
        for one in (*calm, *swapped)
    ]
    delays = last_of_former(witness.seen, moves)
    back = [d for d, move in zip(delays, moves, strict=True) if move.version < move.former]
    longest = max(float(one.latencies.max()) for one in (*calm, *swapped))
    p99 = [one.quantile(0.99) * 1e3 for one in calm], [one.quantile(0.99) * 1e3 for one in swapped]
    ratios = [b / a for a, b in zip(*p99, strict=True)]
    return {
        "moves": len(moves),
        "answers": float(sum(one.latencies.size for one in (*calm, *swapped))),
        "failed_requests": float(sum(failed)),
        "not_found": float(sum(one.statuses.get(404, 0) for one in swapped)),
        "unsent": float(sum(one.unsent for one in (*calm, *swapped))),
        "answers_of_versions_not_current": float(strangers(witness.seen, moves, longest)),
        "p50_calm_milliseconds": median(one.quantile(0.5) * 1e3 for one in calm),
        "p50_swaps_milliseconds": median(one.quantile(0.5) * 1e3 for one in swapped),
        "p99_calm_milliseconds": median(p99[0]),
        "p99_swaps_milliseconds": median(p99[1]),
        **ratio_figures("p99_ratio", ratios),
        "longest_milliseconds": longest * 1e3,
        "command_median_milliseconds": median(m.answered - m.sent for m in moves) * 1e3,
        "rollbacks": len(back),
        "rollback_last_answer_worst_milliseconds": max(back, default=math.nan) * 1e3,
        "promotion_last_answer_worst_milliseconds": max(delays, default=math.nan) * 1e3,
    }


def main(arguments: list[str] | None = None) -> int:
    """Measure what was asked for and print it."""
    parser = argparse.ArgumentParser(prog="python -m penstock.loadtests.swaps", description=__doc__)
    parser.add_argument("--only", choices=("swaps", "cycles", "many"), help="one measurement")
    parser.add_argument("--swaps", type=int, default=110, help="as far as they fit in the windows")
    parser.add_argument("--rounds", type=int, default=10, help="a calm window and one with swaps")
    parser.add_argument("--seconds", type=float, default=28.0, help="of each window")
    parser.add_argument("--width", type=int, default=1024, help="of the model's layers")
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--rowwise", action="store_true", help="each row costs the same")
    parser.add_argument("--cycles", type=int, default=200)
    parser.add_argument("--models", type=int, nargs="+", default=[250, 500, 1000])
    parser.add_argument("--json", type=Path, help="also write the figures there")
    options = parser.parse_args(arguments)
    cores = sorted(os.sched_getaffinity(0))
    plan = SwapPlan(
        swaps=options.swaps,
        rounds=options.rounds,
        seconds=options.seconds,
        width=options.width,
        layers=options.layers,
        dense=not options.rowwise,
        server_cores=frozenset(cores[:-1] or cores),
        load_cores=frozenset(cores[-1:]),
    )
    shape = {"width": options.width, "layers": options.layers}
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="swaps-") as name:
        directory = Path(name)
        wanted = options.only
        if wanted in {None, "swaps"}:
            (directory / "swaps").mkdir()
            figures["swaps"] = measure_swaps(directory / "swaps", plan)
        if wanted in {None, "cycles"}:
            (directory / "cycles").mkdir()
            figures["cycles"] = measure_cycles(directory / "cycles", options.cycles, **shape)
        for models in options.models if wanted in {None, "many"} else ():
            (directory / str(models)).mkdir()
            figures[f"{models} models"] = measure_many(directory / str(models), models)
    _print(figures)
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2))
    return 0


def _print(figures: dict[str, dict[str, float]]) -> None:
    for title, values in figures.items():
        table = Table(title=title, title_justify="left", show_header=False)
        for name, value in values.items():
            table.add_row(name.replace("_", " "), f"{value:,.3f}".rstrip("0").rstrip("."))
        Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
