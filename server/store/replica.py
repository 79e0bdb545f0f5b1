"""A directory that shows the registry of a store: each version with its manifest only.

DIRECTORY/<model>/<version>/manifest.json
         /<model>/model.toml
         /<model>/<held-out file>        if the gates of the model name one

The rest of the server reads it like any registry. The files of a version are fetched when it is
wanted, see `fetcher`. The directory outlives the server, so that a start needs no store.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from penstock.monitoring.files.atomic_file import replace_file, write_synced
from penstock.server.files.durable import remove_tree
from penstock.server.registry.manifest import MANIFEST_FILE, ManifestError, parse_manifest
from penstock.server.registry.repository import MODEL_FILE, MODEL_NAME, VERSION_NAME

from .heldout_copies import HeldOutCopies
from .index_reader import read_index
from .layout import version_path
from .object_store import Found
from .store_error import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from .index import Index
    from .object_store import ObjectStore

    Key = tuple[str, int]

_DRAFT_PREFIX: Final = ".draft-"
_THREADS: Final = 8
#: First and longest wait before a version that could not be shown is tried again.
_RETRY_SECONDS: Final = (1.0, 60.0)


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a version is not in the directory, and when it is tried again (monotonic seconds)."""

    reason: str
    tries: int
    due: float


class Replica:
    """Keeps the directory in step with the store. Blocking; for one thread at a time.

    Args:
        store: The store.
        directory: The directory; made if it is not there.
        clock: Monotonic seconds.
    """

    def __init__(
        self, store: ObjectStore, directory: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for draft in directory.glob(f"{_DRAFT_PREFIX}*"):
            remove_tree(draft)
        self._present = _read_present(directory)
        self._read: tuple[Index, Found | None] | None = None
        self._settings: dict[str, Found | None] = {}
        self._turn: list[str] = []
        self._failures: dict[Key, _Failure] = {}
        self._hidden: dict[str, str] = {}
        self._heldout = HeldOutCopies(store, directory)

    @property
    def empty(self) -> bool:
        """Whether no version is known yet."""
        return not self._present

    def problems(self) -> dict[str, str]:
        """What is in the store and cannot be shown, by its URL, and why."""
        failures = sorted(self._failures.items())
        found = {f"{self._store.url}/{version_path(*key)}": one.reason for key, one in failures}
        for model, reason in sorted(self._hidden.items()):
            found[f"{self._store.url}/{model}/{MODEL_FILE}"] = reason
        for model, reason in sorted(self._heldout.problems.items()):
            found[f"{self._store.url}/{model}"] = reason
        return found

    def poll(self) -> bool:
        """Ask the store whether something is new, and take it over; whether something was.

        With an index, and nothing new, these are two requests: for the index, and for the
        ``model.toml`` of one model, of each in turn; a third one if it names a held-out file.

        Raises:
            ContentError: The index of the store is damaged.
            StoreError: The store does not answer, or shows no version where there were some.
            OSError: The directory cannot be written.
        """
        read = read_index(self._store, self._read)
        changed = False
        if self._read is None or read[0] != self._read[0] or self._due():
            changed = self._follow(read[0])
        self._read = read
        return self._refresh(self._next_models()) or changed

    def _due(self) -> bool:
        return any(one.due <= self._clock() for one in self._failures.values())

    def _follow(self, index: Index) -> bool:
        """Take over the versions of an index; whether something has changed."""
        wanted = {
            (model, version): entry.manifest
            for model, versions in index.models.items()
            for version, entry in versions.items()
        }
        if self._present and not wanted:
            raise StoreError(
                f"{self._store.url} shows no version any more; going on with what was there "
                "before. If that is meant, remove the models of the server's state directory: "
                f"{self._directory}",
                lasting=True,
            )
        now = self._clock()
        self._failures = {key: one for key, one in self._failures.items() if key in wanted}
        missing = [
            key
            for key, sha256 in sorted(wanted.items(), reverse=True)
            if self._present.get(key, "") != (sha256 or self._present.get(key))
            and (key not in self._failures or self._failures[key].due <= now)
        ]
        # A model's settings come first: they may say that not all versions are to be loaded.
        changed = self._refresh(sorted({model for model, _ in missing}))
        with ThreadPoolExecutor(_THREADS, "penstock-replica") as pool:
            reads = {key: pool.submit(self._read_manifest, key, wanted[key]) for key in missing}
            for key, read in reads.items():
                try:
                    self._place(key, read.result())
                except (StoreError, ManifestError) as error:
                    self._fail(key, str(error))
                else:
                    changed = True
                    self._failures.pop(key, None)
        for key in self._present.keys() - wanted.keys():
            self._remove(key)
            changed = True
        return changed

    def _read_manifest(self, key: Key, sha256: str) -> bytes:
        """The manifest of a version, as the index names it.

        Raises:
            ManifestError: It is not, or not the version's.
            StoreError: The store does not answer.
        """
        path = version_path(*key, MANIFEST_FILE)
        source = f"{self._store.url}/{path}"
        found = self._store.read(path)
        if found is None:
            raise ManifestError(
                f"{source} is not there; a version in a store is published by penstock push, or "
                "copied with its manifest; penstock push --adopt takes over what was uploaded by "
                "hand"
            )
        if sha256 and hashlib.sha256(found.content).hexdigest() != sha256:
            raise ManifestError(f"{source} is not the one that was published: its SHA-256 differs")
        manifest = parse_manifest(found.content, source)
        if (manifest.model, manifest.version) != key:
            raise ManifestError(
                f"{source} is that of model {manifest.model!r} version {manifest.version}"
            )
        return found.content

    def _fail(self, key: Key, reason: str) -> None:
        before = self._failures.get(key)
        tries = 1 if before is None else before.tries + 1
        first, longest = _RETRY_SECONDS
        wait = min(first * 2.0 ** min(tries - 1, 10), longest)
        self._failures[key] = _Failure(reason, tries, self._clock() + wait)

    def _place(self, key: Key, manifest: bytes) -> None:
        """Show a version, all at once."""
        draft = self._directory / f"{_DRAFT_PREFIX}{secrets.token_hex(8)}"
        draft.mkdir(mode=0o700)
        try:
            write_synced(draft / MANIFEST_FILE, manifest, 0o400)
            self._remove(key)
            target = self._directory / version_path(*key)
            target.parent.mkdir(mode=0o700, exist_ok=True)
            draft.rename(target)
        except BaseException:
            remove_tree(draft)
            raise
        self._present[key] = hashlib.sha256(manifest).hexdigest()

    def _remove(self, key: Key) -> None:
        """Show a version no longer, all at once; and its model with the last one."""
        if self._present.pop(key, None) is None:
            return
        target = self._directory / version_path(*key)
        draft = self._directory / f"{_DRAFT_PREFIX}{secrets.token_hex(8)}"
        target.rename(draft)
        remove_tree(draft)
        if not any(model == key[0] for model, _ in self._present):
            remove_tree(target.parent)
            self._settings.pop(key[0], None)
            self._hidden.pop(key[0], None)
            self._heldout.forget(key[0])

    def _next_models(self) -> list[str]:
        """The model whose settings are asked for now."""
        if not self._turn:
            self._turn = sorted({model for model, _ in self._present})
        return [self._turn.pop()] if self._turn else []

    def _read_settings(self, model: str, known: Found | None) -> Found | None:
        """The ``model.toml`` of a model; what is known of it where the store shows nothing."""
        try:
            found = self._store.read(f"{model}/{MODEL_FILE}", known)
        except StoreError as error:
            if not error.forbidden:
                raise
            self._hidden[model] = str(error)
            file = self._directory / model / MODEL_FILE
            return Found(file.read_bytes()) if known is None and file.exists() else known
        self._hidden.pop(model, None)
        return found

    def _refresh(self, models: Iterable[str]) -> bool:
        """Take over ``model.toml`` of these models; whether one has changed."""
        changed = False
        for model in models:
            known = self._settings.get(model)
            found = self._read_settings(model, known)
            file = self._directory / model / MODEL_FILE
            if found is None:
                changed = file.exists() or changed
                file.unlink(missing_ok=True)
            elif found is not known:
                file.parent.mkdir(mode=0o700, exist_ok=True)
                if not file.exists() or file.read_bytes() != found.content:
                    replace_file(file, found.content, 0o600)
                    changed = True
            self._settings[model] = found
            changed = self._heldout.refresh(model) or changed
        return changed


def _read_present(directory: Path) -> dict[Key, str]:
    """The versions that the directory shows, and the SHA-256 of their manifests."""
    return {
        (file.parent.parent.name, int(file.parent.name)): hashlib.sha256(
            file.read_bytes()
        ).hexdigest()
        for file in directory.glob(f"*/*/{MANIFEST_FILE}")
        if MODEL_NAME.fullmatch(file.parent.parent.name)
        and VERSION_NAME.fullmatch(file.parent.name)
    }
