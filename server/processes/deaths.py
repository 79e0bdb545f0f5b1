"""Deaths of processes that a version may be to blame for, in files of the run directory.

The supervisor lists deaths of workers, a worker those of the processes of isolated versions.
Control reads them and decides what to take out of service.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from penstock.monitoring.files.atomic_file import replace_file

from .watchdog import Death

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

#: Deaths kept; the oldest go first.
MAX_DEATHS: Final = 64


class DeathList:
    """The deaths of the processes of isolated versions. For several threads.

    Args:
        path: File of the list; ``None`` keeps it in memory. A list that is there goes on.
        wall_clock: Unix seconds.
    """

    def __init__(
        self, path: Path | None = None, wall_clock: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._wall_clock = wall_clock
        self._lock = threading.Lock()
        self._deaths = [] if path is None else list(read_deaths(path))

    def add(self, model: str, version: str, how: str) -> tuple[Death, ...]:
        """Note a death; returns all that are kept.

        Args:
            model: Name of the model.
            version: The version that is to blame.
            how: End of its process, in words after its name.
        """
        death = Death("its own process", how, self._wall_clock(), ((model, version),))
        with self._lock:
            self._deaths = [*self._deaths, death][-MAX_DEATHS:]
            self._write()
            return tuple(self._deaths)

    def forgive(self, model: str, version: str) -> None:
        """Forget the deaths of a version, because it was loaded anew."""
        with self._lock:
            before = len(self._deaths)
            self._deaths = [one for one in self._deaths if (model, version) not in one.suspects]
            if len(self._deaths) < before:
                self._write()

    def _write(self) -> None:
        if self._path is not None:
            with suppress(OSError):  # a full disk must not take the worker down
                write_deaths(self._path, self._deaths)


def write_deaths(path: Path, deaths: Iterable[Death]) -> None:
    """Replace the file in one step."""
    content = json.dumps([asdict(death) for death in deaths])
    replace_file(path, content.encode(), synced=False)


def read_deaths(path: Path) -> tuple[Death, ...]:
    """Read the deaths that `write_deaths` wrote; empty if no process died over a version yet."""
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return ()
    return tuple(
        Death(
            one["process"],
            one["how"],
            one["at"],
            tuple((model, version) for model, version in one["suspects"]),
        )
        for one in content
    )
