"""Takes versions in: what is complete, sound and as published gets a place to be loaded from.

A version with a manifest is checked against it; one without is taken when it has kept still and is
whole. Where the server has a directory of its own, each is copied there while it is hashed, and
loaded from there: nobody can exchange a file between the check and the load, and what serves goes
on serving when the registry loses it. What was taken is remembered across restarts.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from penstock.runtimes.contract import ModelLoadError

from .inspection import MODEL_FILE, inspect_version
from .intake_file import Taken, read_taken, write_taken
from .manifest import digest_of
from .private_copy import Ledger, private_copy
from .refusal import ModelRefused
from .stability import judge, look, sight
from .verification import hash_files, read_manifest, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from penstock.runtimes.contract import Signature

    from .safe_files import FileFact
    from .stability import Sighting

    Files = tuple[FileFact, ...]
    Inspect = Callable[[Path], object]

#: Model and version.
Key = tuple[str, int]

#: Platforms whose files can be inspected; ``None`` is whatever finds them.
_KNOWN: Final = (None, "onnx_onnxv1")


@dataclass(frozen=True, slots=True)
class Offer:
    """What became of a version that is wanted.

    Attributes:
        directory: To load it from; ``None`` while it may not be loaded.
        digest: Of its files; empty while they are not known.
        reason: Why it may not be loaded, or what has changed since it was taken.
        waiting: Whether another look may be all it takes.
        declared: The signature that its manifest promises, if that says.
    """

    directory: Path | None = None
    digest: str = ""
    reason: str = ""
    waiting: bool = False
    declared: Signature | None = None


class Intake:
    """Decides which versions may be loaded, and from where. Blocking.

    Args:
        state_dir: Of the server, for the copies and the list of what was taken; ``None`` loads
            from the registry itself.
        max_bytes: Of all copies together.
        window_seconds: How long the files of a version without a manifest must keep still.
        plugins: Whether other runtimes than ONNX are installed, whose files look like anything.
        clock: Monotonic seconds.
        wall_clock: Nanoseconds since 1970.
    """

    def __init__(
        self,
        state_dir: Path | None,
        max_bytes: int,
        window_seconds: float,
        *,
        plugins: bool = False,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._copies = None if state_dir is None else state_dir / "copies"
        self._file = None if state_dir is None else state_dir / "taken.json"
        self._max_bytes = max_bytes
        self._window_seconds = window_seconds
        self._plugins = plugins
        self._dirty = False
        self._ledger = Ledger()
        self._clock = clock
        self._wall_clock = wall_clock
        self._taken: dict[Key, Taken] = {} if self._file is None else read_taken(self._file)
        self._digests = {one.digest for one in self._taken.values()}
        self._sightings: dict[Key, Sighting] = {}
        self._refused: dict[Key, tuple[Files, str]] = {}

    def settle(self, wanted: Iterable[Key]) -> None:
        """End a round of offers: remember what was taken, forget every version but these."""
        keys = set(wanted)
        before = len(self._taken)
        self._taken = {key: one for key, one in self._taken.items() if key in keys}
        self._digests = {one.digest for one in self._taken.values()}
        self._sightings = {key: one for key, one in self._sightings.items() if key in keys}
        self._refused = {key: one for key, one in self._refused.items() if key in keys}
        if self._file is not None and (self._dirty or len(self._taken) != before):
            write_taken(self._file, self._taken)
            self._dirty = False

    def offer(
        self, key: Key, directory: Path, platform: str | None = None, *, failed: bool = False
    ) -> Offer:
        """Look at a version; unchanged files are listed, not read.

        Args:
            key: Model and version.
            directory: Of the version in the registry.
            platform: Of the model, if its configuration says.
            failed: Whether what was taken could not be loaded: then a change is looked at anew.
        """
        files = look(directory)
        taken = self._taken.get(key)
        if taken is not None and (place := self._place(taken, directory)) is not None:
            if _touched(taken, files) and digest_of(hash_files(directory)) == taken.digest:
                taken = self._taken[key] = replace(taken, files=files)
                self._dirty = True
            change = _changed(taken, files)
            if not (change and failed):
                return Offer(place, taken.digest, change, declared=taken.declared)
        refused = self._refused.get(key)
        if refused is not None and refused[0] == files:
            return Offer(reason=refused[1])
        try:
            known = platform in _KNOWN and not (self._plugins and _foreign(files))
            inspect = inspect_version if known else _let_pass
            return self._examine(key, directory, files, inspect)
        except (ModelLoadError, OSError) as error:
            self._refused[key] = (files, str(error))
            return Offer(reason=str(error))

    def _examine(self, key: Key, directory: Path, files: Files, inspect: Inspect) -> Offer:
        manifest = read_manifest(directory)
        if manifest is None:
            waiting = self._wait(key, directory, files, inspect)
            if waiting is not None:
                return waiting
            entries = hash_files(directory)
            if look(directory) != files:
                return Offer(reason="its files are changing", waiting=True)
        else:
            if (manifest.model, manifest.version) != key:
                raise ModelRefused(
                    f"its manifest is that of model {manifest.model!r} version {manifest.version}"
                )
            entries = manifest.files
            problems = verify(directory, manifest) if self._copies is None else ()
            if problems:
                raise ModelRefused(*problems)
        place = directory
        if self._copies is not None:
            place = private_copy(
                directory,
                self._copies,
                entries,
                max_bytes=self._max_bytes,
                keep=self._digests,
                ledger=self._ledger,
            )
        inspect(place)
        declared = None if manifest is None else manifest.signature
        taken = self._taken[key] = Taken(digest_of(entries), files, declared)
        self._digests.add(taken.digest)
        self._dirty = True
        return Offer(place, taken.digest, declared=declared)

    def _wait(self, key: Key, directory: Path, files: Files, inspect: Inspect) -> Offer | None:
        now = self._clock()
        newest = max((fact.changed_ns for fact in files), default=0)
        unchanged = (self._wall_clock() - newest) / 1e9
        sighting = sight(self._sightings.get(key), files, now, unchanged)
        self._sightings[key] = sighting
        verdict = judge(sighting, now, self._window_seconds, lambda: inspect(directory))
        if verdict.ready:
            return None
        if verdict.refused:
            self._refused[key] = (files, verdict.reason)
        return Offer(reason=verdict.reason, waiting=not verdict.refused)

    def _place(self, taken: Taken, directory: Path) -> Path | None:
        """Where a version that was taken is loaded from, if it is still there."""
        if self._copies is None:
            return directory if directory.is_dir() else None
        copy = self._copies / taken.digest.removeprefix("sha256:")
        return copy if copy.is_dir() else None


def _foreign(files: Files) -> bool:
    """Whether no ONNX model is among them."""
    return all(not fact.path.endswith(MODEL_FILE) for fact in files)


def _let_pass(_: Path) -> None:
    """For the files of other runtimes, which only they understand."""


def _touched(taken: Taken, files: Files) -> bool:
    """Whether only times differ, as after a copy of the whole registry."""
    before, now = ([(one.path, one.size) for one in some] for some in (taken.files, files))
    return files != taken.files and before == now


def _changed(taken: Taken, files: Files) -> str:
    if files == taken.files:
        return ""
    if not files:
        return "its directory is gone; what was taken from it still serves"
    return "its files were changed since it was taken; what was taken still serves"
