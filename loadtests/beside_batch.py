"""``python -m penstock.loadtests.beside_batch``: how long requests take beside a batch job.

An open loop asks for predictions, in windows by turns alone and beside a batch job of the same
model, which the server runs by itself (``POST /v1/batches``). The server and the job share their
cores; the generator has one of its own. A window counts only if the job went on until its end.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from .managed import HOST, Managed
from .medians import ratio_figures
from .offered import offered
from .outcome import OK, GeneratorLagged, RunRefused
from .processes import pinned
from .schedule import draw
from .versions import FEATURES, write_version
from .witness import Witness

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from .outcome import Outcome

MODEL: Final = "beside"
_PATH: Final = f"/v2/models/{MODEL}/infer"
_BATCHES: Final = "/v1/batches"
#: Rounds that are made again because the generator lagged.
_AGAIN: Final = 3
_BLOCK_ROWS: Final = 10_000


@dataclass(frozen=True, slots=True)
class BesidePlan:
    """How to measure.

    Attributes:
        rounds: A window alone and one beside the job in each.
        seconds: Length of a window.
        load: Share of the capacity that is offered.
        rows: Rows of the job's file.
        width: Width of the model's layers.
        layers: Number of layers.
        dense: As `penstock.loadtests.versions.write_version` has it.
        server_cores: What the server and the job may use.
        load_cores: What the generator may use.
        lag_limit_seconds: Of the generator's 99th percentile; a later one refuses its run.
        priority: Value of the option ``batch_priority``.
    """

    rounds: int = 6
    seconds: float = 10.0
    load: float = 0.3
    rows: int = 1_000_000
    width: int = 64
    layers: int = 1
    dense: bool = True
    server_cores: AbstractSet[int] = frozenset()
    load_cores: AbstractSet[int] = frozenset()
    lag_limit_seconds: float = 0.005
    priority: str = "idle"


class RunningBatch:
    """A batch job of a server while the context lasts, then it is cancelled.

    Args:
        server: The server.
        source: Its input, below the server's ``batch_root``.

    Attributes:
        rows: Rows that it did meanwhile.
    """

    def __init__(self, server: Managed, source: str) -> None:
        self._server = server
        self._source = source
        self._id = ""
        self.rows = 0

    def __enter__(self) -> Self:
        asked = {"model": MODEL, "input": self._source, "output": "out.csv", "replace": True}
        self._id = self._server.ask("POST", _BATCHES, asked)["id"]
        self._server.process.wait_ready(lambda: self._shown()["rows"] > 0, 60.0)
        self.rows = -self._shown()["rows"]
        return self

    def __exit__(self, *exc_info: object) -> None:
        shown = self._shown()
        if shown["state"] != "running":
            raise RunRefused(f"the job was {shown['state']} before the window was over: --rows")
        self.rows += shown["rows"]
        self._server.ask("DELETE", f"{_BATCHES}/{self._id}", {"reason": "the window is over"})

    def _shown(self) -> dict[str, Any]:
        found: dict[str, Any] = self._server.ask("GET", f"{_BATCHES}/{self._id}")
        return found


def measure_beside(directory: Path, plan: BesidePlan) -> dict[str, float]:
    """Measure windows by turns.

    Returns:
        Figures, each with its unit in its name.

    Raises:
        RunRefused: An answer was wrong, the job ended, or the generator lagged again and again.
    """
    registry, files = directory / "registry", directory / "files"
    files.mkdir()
    write_version(registry, MODEL, 1, width=plan.width, layers=plan.layers, dense=plan.dense)
    _write_rows(files / "in.csv", plan.rows)
    options: tuple[str, ...] = ("--settle-seconds", "0", "--batch-root", str(files))
    options += ("--batch-priority", plan.priority)
    managed = Managed(registry, directory / "server", plan.server_cores or None, options)
    with managed as server, pinned(plan.load_cores or os.sched_getaffinity(0)):
        return _rounds(server, plan)


def _rounds(server: Managed, plan: BesidePlan) -> dict[str, float]:
    witness = Witness(f"{HOST}:{server.port}", _PATH)
    alone: list[Outcome] = []
    beside: list[Outcome] = []
    rows: list[float] = []
    with offered(server.port, witness, plan.load, plan.lag_limit_seconds) as (loop, rate):
        for number in range(plan.rounds + _AGAIN):
            schedules = [draw("poisson", rate, plan.seconds, seed=at + number) for at in (0, 100)]
            try:
                first = loop.run(schedules[0])
                with RunningBatch(server, "in.csv") as job:
                    second = loop.run(schedules[1])
            except GeneratorLagged as error:
                print(f"measured again: {error}", file=sys.stderr, flush=True)
                continue
            alone.append(first)
            beside.append(second)
            rows.append(job.rows / plan.seconds)
            if len(alone) == plan.rounds:
                break
    if not alone:
        raise GeneratorLagged("the generator sent late in every round")
    return _figures(alone, beside, rows) | {"offered_per_second": rate}


def _figures(alone: list[Outcome], beside: list[Outcome], rows: list[float]) -> dict[str, float]:
    figures: dict[str, float] = {"rounds": float(len(alone)), "job_rows_per_second": median(rows)}
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        pairs = [
            (a.quantile(share) * 1e3, b.quantile(share) * 1e3)
            for a, b in zip(alone, beside, strict=True)
        ]
        figures[f"{name}_alone_milliseconds"] = median(a for a, _ in pairs)
        figures[f"{name}_beside_milliseconds"] = median(b for _, b in pairs)
        figures |= ratio_figures(f"{name}_ratio", [b / a for a, b in pairs])
    failed = [
        sum(n for status, n in one.statuses.items() if status != OK) + one.broken + one.unanswered
        for one in (*alone, *beside)
    ]
    return figures | {"failed_requests": float(sum(failed))}


def _write_rows(path: Path, rows: int) -> None:
    """A file of rows; the same block again and again."""
    names = ",".join(f"x{at}" for at in range(FEATURES))
    numbers = np.random.default_rng(1).random((_BLOCK_ROWS, FEATURES))
    lines = "\n".join(",".join(f"{one:.3f}" for one in row) for row in numbers.tolist())
    with path.open("w") as file:
        file.write(f"{names}\n")
        for _ in range(max(1, rows // _BLOCK_ROWS)):
            file.write(f"{lines}\n")


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m penstock.loadtests.beside_batch", description=__doc__
    )
    parser.add_argument("--rounds", type=int, default=6, help="a window alone and one beside")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each window")
    parser.add_argument("--load", type=float, default=0.3, help="share of the capacity")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the job's file")
    parser.add_argument("--width", type=int, default=64, help="of the model's layers")
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--rowwise", action="store_true", help="each row costs the same")
    parser.add_argument("--lag-limit", type=float, default=0.005, help="of the generator, seconds")
    parser.add_argument("--priority", choices=("idle", "low"), default="idle", help="of the job")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    options = parser.parse_args(arguments)
    cores = sorted(os.sched_getaffinity(0))
    plan = BesidePlan(
        rounds=options.rounds,
        seconds=options.seconds,
        load=options.load,
        rows=options.rows,
        width=options.width,
        layers=options.layers,
        dense=not options.rowwise,
        lag_limit_seconds=options.lag_limit,
        priority=options.priority,
        server_cores=frozenset(cores[:-1] or cores),
        load_cores=frozenset(cores[-1:]),
    )
    with tempfile.TemporaryDirectory(prefix="beside-") as name:
        figures = measure_beside(Path(name), plan)
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):28} {value:,.3f}")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
