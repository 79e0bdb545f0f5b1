"""``python -m penstock.loadtests.efficiency``: the server against bare onnxruntime on one core.

For models that take a millisecond or more, what remains to a server is to waste nothing: its rows
per second are set against those of onnxruntime called in a loop with the best batch size, and
against its own with batching switched off. Bare runs and served ones take turns.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from penstock.runtimes.telemetry import import_onnxruntime

from .contestants import penstock
from .measure import Plan, default_plan, measure
from .models import ModelFile, build
from .processes import pinned
from .scenarios import Scenario

_SIZES = (1, 2, 4, 8, 16, 32)
_CONNECTIONS = 32
_RUN_SECONDS = 0.5


def bare_rows_per_second(model: ModelFile, plan: Plan) -> dict[int, float]:
    """Rows per second of onnxruntime alone, one thread, by batch size, on the server's cores."""
    onnxruntime = import_onnxruntime()

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    rates: dict[int, float] = {}
    with pinned(plan.server_cores):
        session = onnxruntime.InferenceSession(
            model.path, options, providers=["CPUExecutionProvider"]
        )
        for rows in _SIZES:
            (feed,) = model.inputs(rows, 1)
            session.run(None, feed)
            runs = 0
            began = time.perf_counter()
            while (spent := time.perf_counter() - began) < _RUN_SECONDS:
                session.run(None, feed)
                runs += 1
            rates[rows] = runs * rows / spent
    return rates


def served_rows_per_second(model: ModelFile, plan: Plan, console: Console) -> dict[str, float]:
    """Answers per second of one-row binary requests: as it comes, and with batching off."""
    scenario = Scenario(
        f"{model.name}-binary", model=model.name, encoding="binary", connections=_CONNECTIONS
    )
    contestants = [penstock(), penstock("unbatched", max_batch_size=1)]
    measurements = measure(contestants, [scenario], {model.name: model}, plan, console.log)
    return {one.contestant: one.figures["requests_per_second"] for one in measurements}


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m penstock.loadtests.efficiency", description=__doc__
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument(
        "--models", default="cnn,wide-cnn,transformer,deep-transformer,mlp", help="names of them"
    )
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args(arguments)
    console = Console(log_path=False)
    plan = default_plan(repeats=1, seconds=options.seconds, warmup_seconds=1.0)
    figures: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory(prefix="penstock-models-") as scratch:
        for name in options.models.split(","):
            model = build(name, Path(scratch))
            for _ in range(options.repeats):
                bare = bare_rows_per_second(model, plan)
                served = served_rows_per_second(model, plan, console)
                figures.setdefault(name, []).append({"bare": bare, **served})
    console.print(_table(figures))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))
    return 0


def _table(figures: dict[str, list[dict[str, Any]]]) -> Table:
    table = Table(title="Rows per second on one core, medians (ranges of the ratios)")
    for column in ("model", "bare, 1 row", "bare, best", "served", "served / best", "/ unbatched"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for name, repeats in figures.items():
        best = [max(one["bare"].values()) for one in repeats]
        served = [one["penstock"] for one in repeats]
        ratios = [a / b for a, b in zip(served, best, strict=True)]
        gains = [one["penstock"] / one["unbatched"] for one in repeats]
        table.add_row(
            name,
            f"{median(one['bare'][1] for one in repeats):,.0f}",
            f"{median(best):,.0f}",
            f"{median(served):,.0f}",
            f"{median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f})",
            f"{median(gains):.2f} ({min(gains):.2f}..{max(gains):.2f})",
        )
    return table


if __name__ == "__main__":
    raise SystemExit(main())
