"""The whole repository, read once or again and again: what has not changed is not read twice.

A model directory is read when its time of change, or that of its ``model.toml``, is another than at
the last look. A time of change younger than the file system's clock is fine proves nothing, so what
changed a moment ago is read once more.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .repository import MODEL_FILE, RegistrySnapshot, model_directories, read_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .repository import ModelEntry, Problem

#: Two changes within so long may bear the same time.
_GRAIN_NANOSECONDS: Final = 2_000_000_000

_Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class _Look:
    """What was found in a model directory, and how it looked then."""

    stamp: _Stamp
    settled: bool
    entry: ModelEntry | None
    problems: tuple[Problem, ...]


class Survey:
    """Reads one registry again and again.

    Args:
        registry: The model repository.
        clock: Nanoseconds since 1970, as file systems have them.

    Attributes:
        read: How many model directories the last look had to read.
    """

    def __init__(self, registry: Path, clock: Callable[[], int] = time.time_ns) -> None:
        self._registry = registry
        self._clock = clock
        self._looks: dict[Path, _Look] = {}
        self.read = 0

    def look(self) -> RegistrySnapshot:
        """The repository as it is now.

        Raises:
            ConfigError: It is not a directory that can be read.
        """
        problems: list[Problem] = []
        root, paths = model_directories(self._registry, problems)
        self.read = 0
        self._looks = {path: self._look_at(path, root) for path in paths}
        for one in self._looks.values():
            problems += one.problems
        entries = (one.entry for one in self._looks.values() if one.entry is not None)
        return RegistrySnapshot({entry.name: entry for entry in entries}, tuple(problems))

    def _look_at(self, path: Path, root: Path) -> _Look:
        stamp = _stamp(path)
        known = self._looks.get(path)
        if known is not None and known.settled and known.stamp == stamp:
            return known
        self.read += 1
        problems: list[Problem] = []
        settled = all(self._clock() - changed > _GRAIN_NANOSECONDS for _, _, changed in stamp)
        return _Look(stamp, settled, read_model(path, root, problems), tuple(problems))


def scan(registry: Path) -> RegistrySnapshot:
    """The repository as it is now, for who looks only once.

    Raises:
        ConfigError: It is not a directory that can be read.
    """
    return Survey(registry).look()


def _stamp(path: Path) -> _Stamp:
    facts = []
    for one in (path, path / MODEL_FILE):
        try:
            found = os.stat(one)  # noqa: PTH116  thousands of times in a row
        except OSError:
            continue
        facts.append((found.st_ino, found.st_size, found.st_ctime_ns))
    return tuple(facts)
