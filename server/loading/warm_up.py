"""Runs a freshly loaded model before it serves anybody: with real inputs if there are any.

A measured cost curve is kept by the digest of the version, so that a restart and the other workers
only warm up. It is measured again where the machine, a library or the options are others.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.batching.calibration import BRIEF, BRIEF_CPU, FULL, measure_costs
from penstock.batching.cost import CostTable
from penstock.monitoring.files.atomic_file import replace_file
from penstock.monitoring.files.config_file import read_bounded
from penstock.runtimes.discovery import library_versions
from penstock.runtimes.synthetic import PROBE_SIZES, synthetic_inputs
from penstock.server.config.cpus import available_cpus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.runtimes.contract import Array, Model

    from .golden_examples import Examples

    #: Inputs for so many rows.
    MakeInputs = Callable[[int], Sequence[Array | None]]

#: Cost curves kept; the oldest go first.
MAX_KEPT: Final = 20_000


@dataclass(frozen=True, slots=True)
class WarmUp:
    """The way in which a model is warmed up.

    Attributes:
        rows: Most rows in one run.
        golden: Its golden requests, whose inputs are used in place of made-up ones.
        busy: Whether other models are served meanwhile.
        single_threaded: Whether a run takes place on the calling thread alone. Then its CPU time
            tells what it costs, however busy the machine is.
    """

    rows: int
    golden: Examples
    busy: bool = False
    single_threaded: bool = False


def warm_up(model: Model, how: WarmUp) -> CostTable | None:
    """Run the model for every batch size, with the first inputs that it accepts.

    Returns:
        The measured run times, or ``None`` if it accepts none; real inputs may be another matter.
    """
    clock = time.thread_time if how.single_threaded else time.perf_counter
    effort = (BRIEF_CPU if how.single_threaded else BRIEF) if how.busy else FULL
    for make_inputs in _candidates(model, how.golden):
        try:
            return measure_costs(model, make_inputs, how.rows, clock, effort)
        except Exception:  # noqa: BLE001, S112  a plug-in may raise anything; try the next inputs
            continue
    return None


def warm_up_only(model: Model, how: WarmUp) -> None:
    """Run one row and as many as a run may have, so that the first requests find it warm."""
    names = [output.name for output in model.signature.outputs]
    for make_inputs in _candidates(model, how.golden):
        try:
            model.execute(make_inputs(1), names)
        except Exception:  # noqa: BLE001, S112  as above
            continue
        with suppress(Exception):
            model.execute(make_inputs(how.rows), names)
        return


def runnable_inputs(model: Model, golden: Examples) -> Sequence[Array | None] | None:
    """Inputs of one row that the model has just run; ``None`` if none are known."""
    names = [output.name for output in model.signature.outputs]
    for make_inputs in _candidates(model, golden):
        try:
            inputs = make_inputs(1)
            model.execute(inputs, names)
        except Exception:  # noqa: BLE001, S112  as above
            continue
        return inputs
    return None


def _candidates(model: Model, golden: Examples) -> list[MakeInputs]:
    found: list[MakeInputs] = [
        partial(repeated, example.inputs, batch_axis=model.signature.batch_axis)
        for example in golden.examples[:1]
    ]
    found += [partial(_made_up, model, size) for size in PROBE_SIZES]
    return found


def _made_up(model: Model, size: int, rows: int) -> list[Array | None]:
    return synthetic_inputs(model.signature, rows, variable=size)


def repeated(inputs: Sequence[Array | None], rows: int, *, batch_axis: bool) -> list[Array | None]:
    """So many rows from a request's own, over and over."""
    if not batch_axis:
        return list(inputs)
    return [
        None if array is None else np.take(array, np.arange(rows) % len(array), axis=0)
        for array in inputs
    ]


class CostCache:
    """Cost curves on disk, by digest. What is damaged or cannot be written is measured again.

    Args:
        directory: Directory that only the server uses; made when it is needed. ``None`` keeps
            nothing.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        if directory is not None:
            prune(directory)

    def find(self, digest: str, conditions: dict[str, Any]) -> CostTable | None:
        """The curve of these files under these conditions, if it is known."""
        if self._directory is None:
            return None
        try:
            content = json.loads(read_bounded(self._path(digest)))
            if content["conditions"] != conditions:
                return None
            return CostTable(tuple(content["rows"]), tuple(content["seconds"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, digest: str, conditions: dict[str, Any], costs: CostTable) -> None:
        """Remember it, in place of what was known of these files."""
        if self._directory is None:
            return
        content = {"conditions": conditions, "rows": costs.sizes, "seconds": costs.seconds}
        with suppress(OSError):
            self._directory.mkdir(mode=0o700, exist_ok=True)
            replace_file(self._path(digest), json.dumps(content).encode(), synced=False)

    def _path(self, digest: str) -> Path:
        assert self._directory is not None
        return self._directory / f"{digest.removeprefix('sha256:')}.json"


def measuring_conditions(platform: str, threads: int, rows: int, settings: Any) -> dict[str, Any]:
    """All that a cost curve depends on beside the files."""
    return {
        "platform": platform,
        "libraries": library_versions(),
        "cpu": _cpu_model(),
        "cpus": available_cpus(),
        "threads": threads,
        "rows": rows,
        "settings": json.loads(json.dumps(settings, default=str)),
    }


@cache
def _cpu_model() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("model name", "CPU part")):
                return line.partition(":")[2].strip()
    return ""


def prune(directory: Path) -> None:
    """Leave the newest `MAX_KEPT`."""
    with suppress(OSError):
        kept = list(directory.iterdir())
        if len(kept) > MAX_KEPT:
            kept.sort(key=lambda one: one.stat().st_mtime_ns)
            for path in kept[:-MAX_KEPT]:
                path.unlink(missing_ok=True)
