"""The gates of what a version costs: the time of a run, and memory."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Final

import numpy as np

from .gate_report import GateResult, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.runtimes.contract import Array
    from penstock.server.config.gates_options import BudgetOptions

    from .subject import Subject

LATENCY: Final = "latency"
MEMORY: Final = "memory"
#: Runs before any is measured, then blocks of runs. The figure is the median of the blocks' 99th
#: percentiles: a burst of other work on this machine spoils a block or two.
_FIRST_RUNS: Final = 20
_BLOCKS: Final = 9
_RUNS: Final = 200
#: Blocks begun after so long are left out; fewer than `_FEWEST` are too little.
_MOST_SECONDS: Final = 30.0
_FEWEST: Final = 3


def latency_gate(
    subject: Subject,
    inputs: Sequence[Array | None] | None,
    options: BudgetOptions,
    clock: Callable[[], float] = time.perf_counter,
) -> GateResult:
    """The time of runs on this machine, alone in its process.

    Args:
        subject: The version.
        inputs: One row or more of each input; ``None`` if no row is known that it takes.
        options: What it may cost.
        clock: Seconds.

    Raises:
        ModelRefused: A run fails.
    """
    assert options.p99_milliseconds is not None
    if inputs is None:
        reason = "no row is known that the model takes; golden requests or held-out rows would help"
        return GateResult(LATENCY, Verdict.TOO_LITTLE, reason)
    batch = [None if one is None else _resized(one, options.rows) for one in inputs]
    for _ in range(_FIRST_RUNS):
        subject.run(batch)
    began = clock()
    blocks: list[float] = []
    while len(blocks) < _BLOCKS and clock() - began < _MOST_SECONDS:
        seconds = []
        for _ in range(_RUNS):
            before = clock()
            subject.run(batch)
            seconds.append(clock() - before)
        blocks.append(float(np.quantile(seconds, 0.99)) * 1000)
    value = statistics.median(blocks)
    figures = {
        "p99_milliseconds": value,
        "blocks": blocks,
        "rows": options.rows,
        "expected": options.p99_milliseconds,
    }
    reason = (
        f"99 % of runs of {options.rows} rows take up to {value:.3g} ms, expected at most "
        f"{options.p99_milliseconds:g} ms"
    )
    if value > options.p99_milliseconds:
        return GateResult(LATENCY, Verdict.FAILED, reason, figures)
    enough = len(blocks) >= _FEWEST
    if not enough:
        reason += f"; {len(blocks) * _RUNS} runs took {_MOST_SECONDS:g} s, which are too few to say"
    return GateResult(LATENCY, Verdict.PASSED if enough else Verdict.TOO_LITTLE, reason, figures)


def memory_gate(grown_bytes: int, options: BudgetOptions) -> GateResult:
    """The memory by which the process grew that loaded and ran the version.

    Args:
        grown_bytes: By how much it grew; 0 where the system does not say.
        options: What it may cost.
    """
    assert options.memory_bytes is not None
    figures = {"memory_bytes": grown_bytes, "expected": options.memory_bytes}
    most = options.memory_bytes / (1 << 20)
    if not grown_bytes:
        return GateResult(MEMORY, Verdict.TOO_LITTLE, "the system does not say", figures)
    fits = grown_bytes <= options.memory_bytes
    reason = f"it takes {grown_bytes / (1 << 20):.1f} MiB, expected at most {most:.1f} MiB"
    return GateResult(MEMORY, Verdict.PASSED if fits else Verdict.FAILED, reason, figures)


def _resized(rows: Array, count: int) -> Array:
    """As many rows, from the first on, again and again."""
    found: Array = rows[np.arange(count) % len(rows)]
    return found
