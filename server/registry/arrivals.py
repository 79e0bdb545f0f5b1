"""Versions without a manifest that are being copied into the registry."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from penstock.server.onnx_file.inspection import Inspection

from .content import read_content
from .copy_completeness import Step, check, sight
from .intake_result import Waiting
from .manifest import digest_of
from .verification import hash_files

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from penstock.server.files.listing import FileFact

    from .copy_completeness import Sighting
    from .intake_result import Candidate, Key
    from .manifest import FileEntry


class Arrivals:
    """Observes such versions until their copies are complete. Blocking.

    Args:
        window_seconds: Seconds for which files must keep still.
        clock: Monotonic seconds.
        wall_clock: Nanoseconds since 1970.
    """

    def __init__(
        self, window_seconds: float, clock: Callable[[], float], wall_clock: Callable[[], int]
    ) -> None:
        self._window_seconds = window_seconds
        self._clock = clock
        self._wall_clock = wall_clock
        self._sightings: dict[Key, Sighting] = {}

    def files(
        self, candidate: Candidate, found: tuple[FileFact, ...], inspect: Callable[..., object]
    ) -> tuple[FileEntry, ...]:
        """The files of a version and their hashes, when the version is complete.

        Args:
            candidate: The version.
            found: Its files, as they were just listed.
            inspect: `inspect_version` of `penstock.server.onnx_file`, or another function.

        Raises:
            Waiting: It may not be complete yet.
            ModelLoadError: Its files are not valid.
            OSError: It cannot be read now.
        """
        key, now = candidate.key, self._clock()
        newest = max((fact.changed_ns for fact in found), default=0)
        unchanged = (self._wall_clock() - newest) / 1e9
        sighting = self._sightings[key] = sight(self._sightings.get(key), found, now, unchanged)
        verdict = check(sighting, now, self._window_seconds)
        if verdict.step is Step.READ:
            facts = inspect(candidate.directory, roots=candidate.roots)
            content = read_content(candidate.directory, candidate.roots)
            if isinstance(facts, Inspection) and (missing := facts.missing_imports):
                lacking = f"{facts.model_file} does not import operator set {missing[0]!r}"
                content = replace(content, imports=lacking)
            now = self._clock()
            sighting = self._sightings[key] = sighting.with_content(content, now)
            verdict = check(sighting, now, self._window_seconds)
        if verdict.step is Step.WAIT or sighting.content is None:
            raise Waiting(verdict.reason)
        return sighting.content.entries

    def check_again(self, candidate: Candidate, entries: tuple[FileEntry, ...]) -> None:
        """Read the files a second time, if no private copy is made.

        Raises:
            Waiting: The content has changed.
        """
        again = hash_files(candidate.directory, candidate.roots)
        if digest_of(again) != digest_of(entries):
            self.forget(candidate.key)
            raise Waiting("its content changed between two readings")

    def forget(self, key: Key) -> None:
        """Forget the observations of a version."""
        self._sightings.pop(key, None)

    def keep(self, keys: Collection[Key]) -> None:
        """Forget all versions but these."""
        self._sightings = {key: one for key, one in self._sightings.items() if key in keys}
