"""Measures the run times of a loaded model, before it serves its first request."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Final

from .cost import CostTable, knots_up_to

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.runtimes.contract import Array, Model

#: No larger size is tried once a run takes longer than this.
RUN_BUDGET_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True)
class Effort:
    """The effort of one measurement.

    Attributes:
        warm_runs: Runs per size that are not counted: they grow arenas and select kernels.
        measured_runs: Runs per size whose median counts.
        total_seconds: No larger size is tried once all runs together have taken so long.
        stride: Every `stride`-th size is tried, beside the first and the last.
        once_seconds: A run that takes so long is not repeated. The first run of a size costs
            some tens of microseconds more than the next, which is little of such a time.
    """

    warm_runs: int = 2
    measured_runs: int = 5
    total_seconds: float = 5.0
    stride: int = 1
    once_seconds: float = RUN_BUDGET_SECONDS


FULL: Final = Effort()
#: The effort beside live traffic. Sizes in between are interpolated, and the times of real batches
#: correct the rest.
BRIEF: Final = Effort(warm_runs=1, measured_runs=2, total_seconds=0.1, stride=3)
#: The effort with a clock that counts CPU time: one run is enough.
BRIEF_CPU: Final = replace(BRIEF, once_seconds=0.5e-3)


def measure_costs(
    model: Model,
    make_inputs: Callable[[int], Sequence[Array | None]],
    max_batch_size: int,
    clock: Callable[[], float] = time.perf_counter,
    effort: Effort = FULL,
) -> CostTable:
    """Time runs of 1, 2, 3, 4, 6, 8, 12, ... rows up to ``max_batch_size``.

    Blocks; belongs on a loader thread. Also warms the model up. A size at which the model fails
    ends the measurement, as long as it could run one row.

    Args:
        model: The model to measure.
        make_inputs: Plausible inputs with the given number of rows.
        max_batch_size: Most rows in one run.
        clock: Monotonic seconds. Those of the thread's own CPU time measure right on a busy
            machine, where the model runs on the calling thread alone.
        effort: The number of runs, and their total time.

    Raises:
        Exception: The model's error on one row.
    """
    names = [output.name for output in model.signature.outputs]
    started = clock()
    sizes: list[int] = []
    times: list[float] = []
    knots = knots_up_to(max_batch_size)
    for rows in sorted({*knots[:: effort.stride], knots[-1]}):
        try:
            seconds = _time_runs(model, make_inputs(rows), names, clock, effort)
        except Exception:
            if not sizes:
                raise
            break
        sizes.append(rows)
        times.append(seconds)
        if seconds > RUN_BUDGET_SECONDS or clock() - started > effort.total_seconds:
            break
    return CostTable(tuple(sizes), tuple(max(seconds, 1e-9) for seconds in times))


def _time_runs(
    model: Model,
    inputs: Sequence[Array | None],
    names: list[str],
    clock: Callable[[], float],
    effort: Effort,
) -> float:
    times: list[float] = []
    for run in range(effort.warm_runs + effort.measured_runs):
        before = clock()
        model.execute(inputs, names)
        seconds = clock() - before
        if run >= effort.warm_runs or seconds > effort.once_seconds:
            times.append(seconds)
        if seconds > effort.once_seconds:
            break
    return median(times)
