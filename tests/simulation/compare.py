"""Print the table of ``docs/batching.md``: dispatch rules under load, on simulated threads."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from rivals import Deferred, DropExpired, Greedy, Rival, Single, Timeout
from simulator import Outcome, Simulation, bursty, linear, poisson

from penstock.batching.options import BatchingOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

THREADS: Final = 2
MAX_ROWS: Final = 32
SLO_SECONDS: Final = 0.020
ARRIVALS: Final = 12_000
MODELS: Final = {"bigmlp": linear(651e-6, 84e-6), "cnn": linear(10e-6, 94e-6)}
RIVALS: Final[dict[str, type[Rival]]] = {
    "batch = 1": Single,
    "timeout 5 ms": Timeout,
    "greedy": Greedy,
    "greedy, drop expired": DropExpired,
    "deferred (Symphony)": Deferred,
}
OURS: Final = "Penstock"
CASES: Final = (
    ("bigmlp", 0.1, poisson),
    ("bigmlp", 0.7, poisson),
    ("bigmlp", 0.95, poisson),
    ("bigmlp", 1.3, poisson),
    ("bigmlp", 1.3, bursty),
    ("cnn", 0.1, poisson),
    ("cnn", 0.95, poisson),
    ("cnn", 1.3, poisson),
)


def peak(model: str) -> float:
    """Rows per second with all threads running full batches."""
    return THREADS * MAX_ROWS / MODELS[model](MAX_ROWS)


def simulate(
    rule: str, model: str, load: float, arrivals: Callable[..., np.ndarray], number: int = ARRIVALS
) -> Outcome:
    """One cell of the table."""
    times = arrivals(load * peak(model), number)
    if rule != OURS:
        return RIVALS[rule](MODELS[model], SLO_SECONDS, THREADS).run(times)
    simulation = Simulation(THREADS)
    options = BatchingOptions(max_batch_size=MAX_ROWS, slo_seconds=SLO_SECONDS)
    scheduled = simulation.add(model, MODELS[model], options)
    simulation.arrive(scheduled, times)
    simulation.run()
    return simulation.outcome(scheduled)


def main() -> None:
    """Print goodput in % of the peak, mean and 99th percentile latency of what was answered."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arrivals", type=int, default=ARRIVALS, help="requests in each cell")
    number = parser.parse_args().arrivals
    heads = [f"{m} {load}{' bursty' if a is bursty else ''}" for m, load, a in CASES]
    print("| rule |", " | ".join(heads), "|")  # noqa: T201  a script
    print("|---" * (len(heads) + 1) + "|")  # noqa: T201  a script
    for rule in (*RIVALS, OURS):
        cells = []
        for model, load, arrivals in CASES:
            outcome = simulate(rule, model, load, arrivals, number)
            share = 100 * outcome.goodput / peak(model)
            mean, worst = 1e3 * outcome.mean_latency, 1e3 * outcome.quantile(0.99)
            cells.append(f"{share:.0f} %, {mean:.1f} / {worst:.1f} ms")
        print(f"| {rule} |", " | ".join(cells), "|", flush=True)  # noqa: T201  a script


if __name__ == "__main__":
    main()
