"""Measure what batches of a freshly loaded model cost, before it serves anybody."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING, Final

from .cost import CostTable, knots_up_to

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.runtimes.contract import Array, Model

#: Runs per size whose times do not count: they grow arenas and select kernels.
WARM_RUNS: Final = 2
#: Runs per size whose median counts.
MEASURED_RUNS: Final = 5
#: No larger size is tried once a run takes longer than this ...
RUN_BUDGET_SECONDS: Final = 0.25
#: ... or all of them together have taken this long.
TOTAL_BUDGET_SECONDS: Final = 5.0


def measure_costs(
    model: Model,
    make_inputs: Callable[[int], Sequence[Array | None]],
    max_batch_size: int,
    clock: Callable[[], float] = time.perf_counter,
    budget_seconds: float = TOTAL_BUDGET_SECONDS,
) -> CostTable:
    """Time runs of 1, 2, 3, 4, 6, 8, 12, ... rows up to ``max_batch_size``.

    Blocks; belongs on a loader thread. Also warms the model up. A size at which the model fails
    ends the measurement, as long as it could run one row.

    Args:
        model: What to measure.
        make_inputs: Plausible inputs with the given number of rows.
        max_batch_size: Most rows in one run.
        clock: Monotonic seconds. Those of the thread's own CPU time measure right on a busy
            machine, where the model runs on the calling thread alone.
        budget_seconds: No larger size is tried once all runs together have taken so long.

    Raises:
        Exception: Whatever the model raises on one row.
    """
    names = [output.name for output in model.signature.outputs]
    started = clock()
    sizes: list[int] = []
    times: list[float] = []
    for rows in knots_up_to(max_batch_size):
        try:
            seconds = _time_runs(model, make_inputs(rows), names, clock)
        except Exception:
            if not sizes:
                raise
            break
        sizes.append(rows)
        times.append(seconds)
        if seconds > RUN_BUDGET_SECONDS or clock() - started > budget_seconds:
            break
    return CostTable(tuple(sizes), tuple(max(seconds, 1e-9) for seconds in times))


def _time_runs(
    model: Model, inputs: Sequence[Array | None], names: list[str], clock: Callable[[], float]
) -> float:
    times: list[float] = []
    for run in range(WARM_RUNS + MEASURED_RUNS):
        before = clock()
        model.execute(inputs, names)
        seconds = clock() - before
        if run >= WARM_RUNS or seconds > RUN_BUDGET_SECONDS:
            times.append(seconds)
        if seconds > RUN_BUDGET_SECONDS:
            break
    return median(times)
