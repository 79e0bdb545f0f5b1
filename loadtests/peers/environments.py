"""One virtual environment per peer, made on demand and kept."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from .peers import ENVIRONMENTS, Environment

if TYPE_CHECKING:
    from collections.abc import Callable

_STAMP = "penstock-requirements.json"


class InstallFailed(Exception):
    """The package index, or the peer's own pins, did not allow it."""


def install(environment: Environment, tell: Callable[[str], None] = print) -> None:
    """Make the environment unless it is there with the same requirements.

    Raises:
        InstallFailed: With the end of pip's output.
    """
    directory = ENVIRONMENTS / environment.name
    stamp = directory / _STAMP
    wanted = json.dumps(environment.requirements)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    tell(f"installing {' '.join(environment.requirements)}")
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(directory)],
        [str(environment.python), "-m", "pip", "install", "--quiet", *environment.requirements],
    ):
        result = subprocess.run(
            ["nice", "-n", "10", *command], capture_output=True, text=True, check=False
        )
        if result.returncode:
            raise InstallFailed(result.stderr.strip()[-1000:])
    stamp.write_text(wanted)


def installed_versions(environment: Environment) -> dict[str, str]:
    """Every distribution in the environment, for the record of a run."""
    result = subprocess.run(
        [str(environment.python), "-m", "pip", "list", "--format", "json"],
        capture_output=True,
        check=True,
    )
    return {entry["name"]: entry["version"] for entry in json.loads(result.stdout)}
