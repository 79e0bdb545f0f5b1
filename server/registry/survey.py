"""The whole repository, read once or again and again: what has not changed is not read twice.

A model directory is read when its time of change, or that of its ``model.toml``, is another than at
the last look. A time of change younger than the file system's clock is fine proves nothing, so what
changed a moment ago is read once more.
"""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from penstock.server.files.config_error import ConfigError
from penstock.server.files.roots import roots_of

from .good_configs import GoodConfigs
from .repository import MODEL_FILE, Problem, RegistrySnapshot, model_directories, read_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from penstock.server.files.roots import Roots

    from .repository import ModelEntry

#: Two changes within so long may bear the same time.
_GRAIN_NANOSECONDS: Final = 2_000_000_000

_Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class _Reading:
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
        allowed: Directories beside it in which links may end.
        good: The last good configurations.

    Attributes:
        read: Number of model directories that the last look had to read.
    """

    def __init__(
        self,
        registry: Path,
        clock: Callable[[], int] = time.time_ns,
        *,
        allowed: Iterable[Path] = (),
        good: GoodConfigs | None = None,
    ) -> None:
        self._registry = registry.absolute()
        self._clock = clock
        self._allowed = tuple(allowed)
        self._good = good or GoodConfigs()
        self._readings: dict[Path, _Reading] = {}
        self.read = 0

    def look(self) -> RegistrySnapshot:
        """The repository as it is now.

        Raises:
            ConfigError: It is not a directory that can be read.
        """
        problems: list[Problem] = []
        try:
            roots = roots_of(self._registry, self._allowed)
            paths = model_directories(self._registry, roots, problems, self._readings)
        except OSError as error:
            raise ConfigError(
                f"registry {self._registry} cannot be read: {error.strerror}; "
                "expected a directory of model directories, or one model file"
            ) from error
        self.read = 0
        self._readings = {path: self._read_model(path, roots) for path in paths}
        for one in self._readings.values():
            problems += one.problems
        entries = [one.entry for one in self._readings.values() if one.entry is not None]
        self._good.settle({path.name for path in paths})
        return RegistrySnapshot({one.name: one for one in entries}, tuple(problems), roots)

    def _read_model(self, path: Path, roots: Roots) -> _Reading:
        stamp = _stamp(path)
        known = self._readings.get(path)
        if known is not None and known.settled and known.stamp == stamp:
            return known
        self.read += 1
        problems: list[Problem] = []
        settled = all(self._clock() - changed > _GRAIN_NANOSECONDS for _, _, changed in stamp)
        before = None if known is None else known.entry
        try:
            entry = read_model(path, roots, problems, self._good, before)
        except OSError as error:
            reason = f"cannot be read: {error.strerror or error}"
            if before is not None and not isinstance(error, FileNotFoundError):
                reason += "; going on with what was there before"
                return _Reading(
                    stamp, settled=False, entry=before, problems=(Problem(path, reason),)
                )
            return _Reading(stamp, settled=False, entry=None, problems=(Problem(path, reason),))
        return _Reading(stamp, settled, entry, tuple(problems))


def scan(registry: Path, allowed: Iterable[Path] = ()) -> RegistrySnapshot:
    """The repository as it is now, for who looks only once.

    Args:
        registry: The model repository.
        allowed: Directories beside it in which links may end.

    Raises:
        ConfigError: It is not a directory that can be read.
    """
    return Survey(registry, allowed=allowed).look()


def _stamp(path: Path) -> _Stamp:
    facts = []
    for one in (path, path / MODEL_FILE):
        for look in (os.lstat, os.stat):  # a link, and what it leads to
            try:
                found = look(one)
            except OSError:
                continue
            facts.append((found.st_ino, found.st_size, found.st_ctime_ns))
            if not stat.S_ISLNK(found.st_mode):
                break
    return tuple(facts)
