"""Finds the state directory of a server, for commands that read it without asking the server."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .command_failed import CommandFailed

if TYPE_CHECKING:
    from penstock.server.processes.run_directory import RunDirectory

#: The option that names a state directory.
StateDir = Annotated[
    Path | None,
    typer.Option("--state-dir", metavar="DIR", help="Default: that of the server that runs here."),
]


def run_directories() -> "list[RunDirectory]":
    """The run directories of this user's servers that run here.

    A server in a run directory of its own is found by ``PENSTOCK_RUN_DIR``.
    """
    from penstock.server.processes.run_directory import RunDirectory, running_servers

    directories = running_servers()
    if run_dir := os.environ.get("PENSTOCK_RUN_DIR"):
        directories.append(RunDirectory(Path(run_dir)))
    return directories


def running_configs() -> list[dict[str, Any]]:
    """The configurations of this user's servers that run here, with ``registry`` and ``state_dir``.

    See `run_directories`.
    """
    found = []
    for directory in run_directories():
        with suppress(OSError, ValueError):  # it is just starting or stopping
            config = json.loads(directory.config.read_text())
            if isinstance(config, dict) and config.get("registry") and config.get("state_dir"):
                found.append(config)
    return found


def find_state(state_dir: Path | None) -> tuple[Path, Path | None]:
    """The state directory that is meant, and the registry if its server runs.

    Raises:
        CommandFailed: No server runs here, or several do; or the directory is none.
    """
    given = state_dir or os.environ.get("PENSTOCK_STATE_DIR")
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
