"""The run directories of the servers that run here, for commands that find a server by itself."""

from __future__ import annotations

import os
from pathlib import Path

from penstock.server.processes import run_directory
from penstock.server.processes.run_directory import RunDirectory


def run_directories() -> list[RunDirectory]:
    """The run directories of this user's servers that run here.

    A server in a run directory of its own is found by ``PENSTOCK_RUN_DIR``.
    """
    directories = run_directory.running_servers()
    if run_dir := os.environ.get("PENSTOCK_RUN_DIR"):
        directories.append(RunDirectory(Path(run_dir)))
    return directories
