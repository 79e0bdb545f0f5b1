"""Finds the state directory of a server, for commands that read it without asking the server."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from .command_failed import CommandFailed
from .run_directories import run_directories

#: The option that names a state directory.
StateDir = Annotated[
    Path | None,
    typer.Option("--state-dir", metavar="DIR", help="Default: that of the server that runs here."),
]


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
