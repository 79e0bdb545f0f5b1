"""What a worker that starts asks of the others: whether one of them answers predictions."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from penstock.server.processes.pulse import read_pulse

if TYPE_CHECKING:
    from penstock.server.processes.run_directory import RunDirectory


def another_worker_serves(directory: RunDirectory, process: str) -> bool:
    """Whether another worker lives and has loaded its models.

    Args:
        directory: Of the running server.
        process: Name of the worker that asks.
    """
    for path in directory.pulses.glob("worker-*"):
        if path.name != process and path.suffix == "":
            reading = read_pulse(path)
            if reading is not None and reading.serves and _is_alive(reading.pid):
                return True
    return False


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
