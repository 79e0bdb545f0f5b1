"""What a registry of many models costs: two starts, looking at it while idle, one more push."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

from .managed import Managed
from .versions import write_version

if TYPE_CHECKING:
    from pathlib import Path


def measure_many(
    directory: Path, models: int, versions: int = 3, *, idle_seconds: float = 5.0
) -> dict[str, float]:
    """Start on a registry of many models, twice; look at it idle; push one more version."""
    registry = directory / "registry"
    for model in range(models):
        for number in range(1, versions + 1):
            write_version(registry, f"m{model:05}", number, width=8 + model % 8, seed=model)
    place = directory / "server"
    options = ("--settle-seconds", "0", "--scan-seconds", "1")
    timeout = 60 + models * versions * 0.2
    with Managed(registry, place, options=options, timeout_seconds=timeout) as server:
        first = server.ready_seconds
        control, worker = server.cpu_seconds("control"), server.cpu_seconds("worker")
        copies = sum(1 for _ in (place / "state" / "copies").glob("[0-9a-f]*"))
        memory = server.resident_bytes() / 2**20
    with Managed(registry, place, options=options, timeout_seconds=timeout) as server:
        again = server.ready_seconds
        worker_again = server.cpu_seconds("worker")
        control_again = server.cpu_seconds("control")
        time.sleep(idle_seconds / 2)
        cpu, began = server.cpu_seconds("control"), time.monotonic()
        time.sleep(idle_seconds)
        idle = (server.cpu_seconds("control") - cpu) / (time.monotonic() - began)
    source = registry / "m00000" / "1" / "model.onnx"
    push = [sys.executable, "-m", "penstock.server.cli.main", "push", str(registry), "m00000"]
    began = time.monotonic()
    subprocess.run([*push, str(source), "--no-load"], check=True, capture_output=True)
    count = models * versions
    return {
        "models": models,
        "versions": count,
        "first_start_seconds": first,
        "next_start_seconds": again,
        "copies": copies,
        "first_start_milliseconds_per_version": first / count * 1e3,
        "first_start_control_cpu_milliseconds_per_version": control / count * 1e3,
        "first_start_worker_cpu_milliseconds_per_version": worker / count * 1e3,
        "next_start_milliseconds_per_version": again / count * 1e3,
        "next_start_control_cpu_milliseconds_per_version": control_again / count * 1e3,
        "next_start_worker_cpu_milliseconds_per_version": worker_again / count * 1e3,
        "worker_mebibytes": memory,
        "control_cpu_share_scanning_each_second": idle,
        "push_command_seconds": time.monotonic() - began,
    }
