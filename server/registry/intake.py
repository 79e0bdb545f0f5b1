"""The intake: gives each complete and valid version a directory to be loaded from.

A version with a manifest is compared with it. A version without one is taken when
`penstock.server.registry.copy_completeness` decides that it is complete. If the server has a state
directory, each version is copied there while it is hashed, and loaded from the copy: no file can be
exchanged between the check and the load, and a version serves on when the registry loses it.
Accepted versions are remembered over restarts; failed ones are tried again (`attempts`).
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from penstock.runtimes.contract import ModelLoadError
from penstock.server.files.durable import remove_tree
from penstock.server.files.refusal import ModelRefused
from penstock.server.files.roots import OWN

from .accepted_versions import AcceptedVersion, read_accepted, write_accepted
from .arrivals import Arrivals
from .attempts import Attempts
from .copy_completeness import look
from .inspectors import Inspectors
from .intake_result import IntakeResult, Waiting
from .manifest import digest_of
from .private_copy import CacheSizeMemo, private_copy, replacement_name
from .verification import hash_files, read_manifest, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from penstock.server.files.listing import FileFact
    from penstock.server.onnx_file.inspection import InspectionLimits

    from .intake_result import Candidate, Key
    from .manifest import FileEntry, Manifest
    from .remote_files import RemoteFiles

    Files = tuple[FileFact, ...]


class Intake:
    """Decides which versions may be loaded, and from where. Blocking.

    Args:
        state_dir: State directory of the server, for the copies and the list of what was taken;
            ``None`` loads from the registry itself.
        max_bytes: Most bytes of all copies together.
        window_seconds: Seconds for which the files of a version without a manifest must keep still.
        plugins: Whether runtimes of others are installed, whose files cannot be inspected.
        limits: Limits of the inspection.
        remote: Fetches files, if directories hold manifests only; it needs a state directory.
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
        limits: InspectionLimits | None = None,
        remote: RemoteFiles | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._copies = None if state_dir is None else state_dir / "copies"
        self._file = None if state_dir is None else state_dir / "taken.json"
        self._max_bytes = max_bytes
        self._inspectors = Inspectors(limits, plugins=plugins)
        self._remote = remote
        self._dirty = False
        self._size_memo = CacheSizeMemo()
        self._clock = clock
        self._accepted: dict[Key, AcceptedVersion] = (
            {} if self._file is None else read_accepted(self._file)
        )
        self._arrivals = Arrivals(window_seconds, clock, wall_clock)
        self._attempts = Attempts()
        self._checked: dict[Key, str] = {}
        self._compared: dict[Key, Files] = {}

    def settle(self, wanted: Iterable[Key]) -> None:
        """End a pass: write the list of accepted versions, and forget all versions but these.

        Raises:
            OSError: The list cannot be written; the next pass tries again.
        """
        keys = set(wanted)
        before = len(self._accepted)
        self._accepted = {key: one for key, one in self._accepted.items() if key in keys}
        self._arrivals.keep(keys)
        self._compared = {key: one for key, one in self._compared.items() if key in keys}
        self._checked = {key: one for key, one in self._checked.items() if key in keys}
        self._attempts.keep(keys)
        if self._remote is not None:
            self._remote.keep(keys)
        self._dirty = self._dirty or len(self._accepted) != before
        if self._file is not None and self._dirty:
            write_accepted(self._file, self._accepted)
            self._dirty = False

    def assess(self, candidate: Candidate) -> IntakeResult:
        """Decide about a version; unchanged files are listed, not read. Raises nothing."""
        key, now = candidate.key, self._clock()
        files: Files = ()
        accepted = self._accepted.get(key)
        place = None if accepted is None else self._place(accepted, candidate)
        try:
            files = self._look(candidate, accepted)
            if accepted is not None and place is not None:
                result = self._recheck(candidate, accepted, place, files)
                if result is not None:
                    return result
            pending = self._attempts.pending(key, files, now)
            if pending is not None:
                result = IntakeResult(reason=pending.told(now), waiting=pending.transient)
            else:
                result = self._examine(candidate, files)
                self._attempts.succeeded(key)
        except Waiting as waiting:
            result = IntakeResult(reason=str(waiting), waiting=True)
        except ModelLoadError as refusal:
            attempt = self._attempts.failed(key, files, str(refusal), now, transient=False)
            result = IntakeResult(reason=attempt.reason)
        except OSError as error:
            reason = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            attempt = self._attempts.failed(key, files, reason, now, transient=True)
            result = IntakeResult(reason=attempt.told(now), waiting=True)
        if (
            accepted is not None
            and place is not None
            and result.directory is None
            and place.is_dir()
        ):
            # The accepted version stays in use; the result tells why the new files are not.
            reason = accepted.change(files)
            reason = f"{reason}: {result.reason}" if reason else result.reason
            return IntakeResult(place, accepted.digest, reason, result.waiting, accepted.declared)
        return result

    def _look(self, candidate: Candidate, accepted: AcceptedVersion | None) -> Files:
        try:
            return look(candidate.directory, candidate.roots)
        except ModelRefused:
            if accepted is not None and not candidate.directory.is_dir():
                return ()
            raise

    def _recheck(
        self, candidate: Candidate, accepted: AcceptedVersion, place: Path, files: Files
    ) -> IntakeResult | None:
        """The result of an accepted version; ``None`` if it has to be taken in again."""
        key = candidate.key
        if candidate.served and not accepted.served:
            accepted = self._accepted[key] = replace(accepted, served=True)
            self._dirty = True
        if candidate.broken and self._is_damaged(key, accepted, place):
            return None
        if accepted.touched(files) and self._compared.get(key) != files:
            entries = hash_files(candidate.directory, candidate.roots)
            self._compared[key] = files
            if digest_of(entries) == accepted.digest:
                accepted = self._accepted[key] = replace(accepted, files=files)
                self._dirty = True
        change = accepted.change(files)
        unused = not (accepted.served or accepted.published)
        if change and files and (candidate.failed or unused):
            return None
        return IntakeResult(place, accepted.digest, change, declared=accepted.declared)

    def _is_damaged(self, key: Key, accepted: AcceptedVersion, place: Path) -> bool:
        """Whether the files of a private copy have changed; each copy is checked once.

        A damaged copy is removed, and a copy of another name replaces it.
        """
        if self._copies is None or self._checked.get(key) == place.name:
            return False
        with suppress(ModelLoadError):
            if digest_of(hash_files(place, OWN)) == accepted.digest:
                self._checked[key] = place.name
                return False
        self._accepted[key] = replace(accepted, copy=replacement_name(accepted.copy_name), files=())
        self._dirty = True
        remove_tree(place)
        return True

    def _examine(self, candidate: Candidate, files: Files) -> IntakeResult:
        """Take a version in.

        Raises:
            Waiting: It has not arrived yet.
            ModelLoadError: It is not as it must be.
            OSError: The machine.
        """
        key, directory, roots = candidate.key, candidate.directory, candidate.roots
        manifest = read_manifest(directory, roots)
        if self._remote is not None:
            return self._examine_remote(candidate, files, manifest, self._remote)
        inspect = self._inspectors.of(candidate, files)
        if manifest is None:
            entries = self._arrivals.files(candidate, files, inspect)
            if self._copies is None:
                self._arrivals.check_again(candidate, entries)
        else:
            entries = _published(manifest, key, files)
            problems = verify(directory, manifest, None, roots) if self._copies is None else ()
            if problems:
                raise ModelRefused(*problems)
        place = directory
        digest = digest_of(entries)
        before = self._accepted.get(key)
        name = "" if before is None or before.digest != digest else before.copy
        if self._copies is not None:
            place = self._copy(candidate, entries, name, published=manifest is not None)
        inspect(place, roots=OWN if self._copies is not None else roots)
        if look(directory, roots) != files:
            raise Waiting("its files are changing")
        declared = None if manifest is None else manifest.signature
        self._accepted[key] = AcceptedVersion(
            digest, files, declared, published=manifest is not None, served=False, copy=name
        )
        self._dirty = True
        return IntakeResult(place, digest, declared=declared)

    def _examine_remote(
        self, candidate: Candidate, files: Files, manifest: Manifest | None, remote: RemoteFiles
    ) -> IntakeResult:
        """As `_examine`, for a version whose files are elsewhere or in a private copy already."""
        if manifest is None or self._copies is None:
            raise Waiting("its manifest is not here yet")
        entries, digest = _published(manifest, candidate.key), manifest.digest
        before = self._accepted.get(candidate.key)
        name = "" if before is None or before.digest != digest else before.copy
        accepted = AcceptedVersion(
            digest, files, manifest.signature, published=True, served=False, copy=name
        )
        source = candidate
        if not (self._copies / accepted.copy_name).is_dir():
            source = replace(candidate, directory=remote.obtain(candidate.key, manifest), roots=OWN)
        place = self._copy(source, entries, name, published=True)
        remote.release(manifest)
        copied = replace(candidate, directory=place, roots=OWN)
        self._inspectors.of(copied, look(place, OWN))(place, roots=OWN)
        self._accepted[candidate.key] = accepted
        self._dirty = True
        return IntakeResult(place, digest, declared=manifest.signature)

    def _copy(
        self, candidate: Candidate, entries: tuple[FileEntry, ...], name: str, *, published: bool
    ) -> Path:
        assert self._copies is not None
        try:
            return private_copy(
                candidate.directory,
                self._copies,
                entries,
                max_bytes=self._max_bytes,
                keep={one.copy_name for one in self._accepted.values()},
                size_memo=self._size_memo,
                roots=candidate.roots,
                name=name,
            )
        except ModelRefused as refusal:
            if published:
                raise
            # There is no manifest: the files have changed since the first reading.
            self._arrivals.forget(candidate.key)
            raise Waiting(f"its content changed while it was copied: {refusal}") from refusal

    def _place(self, accepted: AcceptedVersion, candidate: Candidate) -> Path | None:
        """The directory of an accepted version, if it still exists."""
        if self._copies is None:
            return candidate.directory if candidate.directory.is_dir() else None
        copy = self._copies / accepted.copy_name
        return copy if copy.is_dir() else None


def _published(manifest: Manifest, key: Key, files: Files | None = None) -> tuple[FileEntry, ...]:
    """The files that a manifest lists, when all are complete that are here."""
    if (manifest.model, manifest.version) != key:
        raise ModelRefused(
            f"its manifest is that of model {manifest.model!r} version {manifest.version}"
        )
    if files is None:
        return manifest.files
    sizes = {fact.path: fact.size for fact in files}
    for entry in manifest.files:
        present = sizes.get(entry.path, 0)
        if present < entry.size:
            raise Waiting(
                f"{entry.path} has {present} of the {entry.size} bytes that its manifest says"
            )
    return manifest.files
