"""What is left in memory after many load and unload cycles of one version."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from .managed import Managed
from .versions import explicit, write_version

if TYPE_CHECKING:
    from pathlib import Path

_MODEL: Final = "loaded"
#: Until a worker has given back what an unload has freed.
_TRIMMED_SECONDS: Final = 6.0


def measure_cycles(
    directory: Path,
    cycles: int,
    *,
    width: int = 64,
    layers: int = 1,
    trimmed_seconds: float = _TRIMMED_SECONDS,
) -> dict[str, float]:
    """Load and unload one version again and again; resident memory of the worker.

    The first and the last figure are read when freed memory has gone back to the system, which the
    worker sees to within `trimmed_seconds` of an unload; the largest is that of the cycles.
    """
    registry = directory / "registry"
    explicit(registry, _MODEL)
    for number in (1, 2):
        write_version(registry, _MODEL, number, width=width, layers=layers)
    options = ("--settle-seconds", "0", "--scan-seconds", "3600")
    with Managed(registry, directory / "server", options=options) as server:
        versions = f"/admin/models/{_MODEL}/versions"
        server.command(f"{versions}/1/promote")
        resident = []
        for _ in range(cycles):
            server.command(f"{versions}/2/load")
            server.command(f"{versions}/2/unload")
            resident.append(server.resident_bytes() / 2**20)
            if len(resident) in {1, cycles}:
                time.sleep(trimmed_seconds)
                resident[-1] = server.resident_bytes() / 2**20
    return {
        "cycles": cycles,
        "model_mebibytes": (registry / _MODEL / "2" / "model.onnx").stat().st_size / 2**20,
        "first_mebibytes": resident[0],
        "last_mebibytes": resident[-1],
        "most_mebibytes": max(resident),
        "ratio": resident[-1] / resident[0],
    }
