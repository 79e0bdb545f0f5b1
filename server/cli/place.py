"""Finds the state directory of a server, for commands that read it without asking the server."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .client import CommandFailed

if TYPE_CHECKING:
    import argparse


def add_place_option(parser: argparse.ArgumentParser) -> None:
    """The option that names a state directory."""
    parser.add_argument(
        "--state-dir", type=Path, metavar="DIR", help="default: that of the server that runs here"
    )


def running_configs() -> list[dict[str, Any]]:
    """The configurations of this user's servers that run here, with ``registry`` and ``state_dir``.

    A server in a run directory of its own is found by ``PENSTOCK_RUN_DIR``.
    """
    from penstock.server.processes.run_directory import RunDirectory, running_servers

    directories = running_servers()
    if run_dir := os.environ.get("PENSTOCK_RUN_DIR"):
        directories.append(RunDirectory(Path(run_dir)))
    found = []
    for directory in directories:
        with suppress(OSError, ValueError):  # it is just starting or stopping
            config = json.loads(directory.config.read_text())
            if isinstance(config, dict) and config.get("registry") and config.get("state_dir"):
                found.append(config)
    return found


def find_state(namespace: argparse.Namespace) -> tuple[Path, Path | None]:
    """The state directory that is meant, and the registry if its server runs.

    Raises:
        CommandFailed: No server runs here, or several do; or the directory is none.
    """
    given = namespace.state_dir or os.environ.get("PENSTOCK_STATE_DIR")
    running = {
        Path(config["state_dir"]).resolve(): Path(config["registry"])
        for config in running_configs()
    }
    if given:
        path = Path(given)
        if not path.is_dir():
            raise CommandFailed(f"there is no state directory {path}")
        return path, running.get(path.resolve())
    if len(running) != 1:
        count = "several servers run" if running else "no server runs"
        raise CommandFailed(f"{count} here; choose one with --state-dir")
    return next(iter(running.items()))
