"""Where the state of a server is that the command line reads without asking it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from .client import CommandFailed

if TYPE_CHECKING:
    import argparse


def add_place_option(parser: argparse.ArgumentParser) -> None:
    """The option that names a state directory."""
    parser.add_argument(
        "--state-dir", type=Path, metavar="DIR", help="default: that of the server that runs here"
    )


def find_state(namespace: argparse.Namespace) -> tuple[Path, Path | None]:
    """The state directory that is meant, and the registry if its server runs.

    Raises:
        CommandFailed: No server runs here, or several do; or the directory is none.
    """
    from penstock.server.processes.run_directory import RunDirectory, running_servers

    given = namespace.state_dir or os.environ.get("PENSTOCK_STATE_DIR")
    directories = running_servers()
    if run_dir := os.environ.get("PENSTOCK_RUN_DIR"):
        directories.append(RunDirectory(Path(run_dir)))
    running = {}
    for directory in directories:
        try:
            config = json.loads(directory.config.read_text())
            running[Path(config["state_dir"]).resolve()] = Path(config["registry"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # it is just starting or stopping
    if given:
        path = Path(given)
        if not path.is_dir():
            raise CommandFailed(f"there is no state directory {path}")
        return path, running.get(path.resolve())
    if len(running) != 1:
        count = "several servers run" if running else "no server runs"
        raise CommandFailed(f"{count} here; choose one with --state-dir")
    return next(iter(running.items()))
