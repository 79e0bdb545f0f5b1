"""Publishing a version to an object store, so that it is there whole or not at all.

1. The number is claimed by a write that fails if the claim is there: two pushes never write to the
   same version. A number that was claimed by a push that died is never given again.
2. Where there is no index, one is made of the list of all objects, by a write that fails if another
   push was quicker.
3. The files are uploaded. Nobody reads them yet.
4. ``manifest.json`` is written, again only if it is not there.
5. The index is replaced by compare-and-swap, and now names the version.

Proof that no reader meets half a version: a reader takes the versions that the index names; the
index names a version after all its files are whole, each with the SHA-256 that its manifest has,
and the index has the SHA-256 of the manifest. Proof that none is lost: a swap starts from the index
that it replaces, so it keeps all versions of it. `index_reader` proves that what was seen stays.
Proof that a version of MLflow is published once, also where two push it: a swap that would name it
a second time is not made, and all swaps take turns.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from penstock.server.errors import Conflict
from penstock.server.registry.manifest import MANIFEST_FILE, encode_manifest
from penstock.server.registry.mlflow_version import mlflow_version_of

from .index import INDEX_FILE, Index, IndexEntry, encode_index
from .index_reader import read_index
from .layout import CLAIMS, arrange, claim_path, version_path
from .object_store import ObjectTaken
from .store_error import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from penstock.server.registry.manifest import Manifest

    from .object_store import Found, ObjectStore

#: Other pushes may be quicker so often in a row.
_MOST_TRIES: Final = 100
_UPLOADS: Final = 4
_FIRST_PAUSE_SECONDS: Final = 0.02
_LONGEST_PAUSE_SECONDS: Final = 1.0


class PublishedBefore(Exception):
    """A version of MLflow is in the store already.

    Attributes:
        version: Its number there.
    """

    def __init__(self, version: int) -> None:
        super().__init__(f"it is version {version} already")
        self.version = version


class Publisher:
    """Publishes versions to one store.

    Args:
        store: The store.
        token: Names this push, and no other: a claim with it is ours.
        progress: Called with the number of bytes uploaded since the last call.
        sleep: Waits so many seconds.
        chance: Gives numbers from 0 to 1.
    """

    def __init__(
        self,
        store: ObjectStore,
        token: str,
        *,
        progress: Callable[[int], object] = lambda _: None,
        sleep: Callable[[float], object] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._token = token
        self._progress = progress
        self._sleep = sleep
        self._chance = chance

    def publish(self, directory: Path, manifest: Manifest, wanted: int | None) -> Manifest:
        """Publish a directory with the files of a manifest.

        Args:
            directory: Holds the files.
            manifest: Its number is only a proposal.
            wanted: The number; the next free one if ``None``.

        Returns:
            The manifest as it was published.

        Raises:
            Conflict: The version exists.
            ContentError: The index of the store is damaged.
            PublishedBefore: The version of MLflow that it was made of is in the store.
            StoreError: The store fails; the version is not there.
        """
        index, found = read_index(self._store)
        source = mlflow_version_of(manifest.metadata)
        _check_new(index, manifest.model, "" if source is None else str(source))
        number = self._claim(manifest.model, index, wanted)
        if found is None:
            index, found = self._first_index()
        manifest = replace(manifest, version=number)
        self._upload(directory, manifest)
        self._name(manifest, "" if source is None else str(source), (index, found))
        return manifest

    def _name(self, manifest: Manifest, source: str, known: tuple[Index, Found | None]) -> None:
        """Write the manifest of files that are there, and name the version in the index."""
        content = encode_manifest(manifest)
        path = version_path(manifest.model, manifest.version, MANIFEST_FILE)
        self._write_once(path, content)
        entry = IndexEntry(hashlib.sha256(content).hexdigest(), manifest.digest, source)
        self._announce(manifest, entry, known)

    def adopt(self, manifest: Manifest) -> Manifest:
        """Publish a version whose files were uploaded by hand; gives its manifest.

        Args:
            manifest: Of the files that lie there, with their number.

        Raises:
            Conflict: Somebody else takes the number now.
            ContentError: The index of the store is damaged.
            StoreError: The store fails; the version is not there.
        """
        index, found = read_index(self._store)
        if not self._claimed(claim_path(manifest.model, manifest.version)):
            raise Conflict(f"another push takes version {manifest.version} of {manifest.model!r}")
        if found is None:
            index, found = self._first_index()
        self._name(manifest, "", (index, found))
        return manifest

    def _claim(self, model: str, index: Index, wanted: int | None) -> int:
        """A number that is nobody else's."""
        number = max(index.of(model), default=0) + 1 if wanted is None else wanted
        for attempt in range(_MOST_TRIES):
            if self._take(model, number):
                return number
            if wanted is not None:
                raise Conflict(
                    f"version {number} of model {model!r} exists, or a push to it goes on or was "
                    "killed; versions never change: take another number, or none for the next"
                )
            following = number + 1
            if attempt == 0:
                folder = f"{model}/{CLAIMS}"
                names = (one.path.rpartition("/")[2] for one in self._store.listing(folder))
                following = max([number, *(int(one) for one in names if one.isdigit())]) + 1
            number = following
        raise StoreError(
            f"{self._store.url}: {_MOST_TRIES} other pushes took the next number first"
        )

    def _first_index(self) -> tuple[Index, Found]:
        """The index of a store that had none a moment ago, made by this push or by another one."""
        index = arrange(self._store.listing())
        self._create(INDEX_FILE, encode_index(index))
        index, found = read_index(self._store)
        if found is None:
            raise StoreError(f"{self._store.url}/{INDEX_FILE} is gone right after it was written")
        return index, found

    def _take(self, model: str, number: int) -> bool:
        """Claim a number; whether it is ours."""
        if self._store.listing(version_path(model, number)):  # of another tool
            return False
        return self._claimed(claim_path(model, number))

    def _claimed(self, path: str) -> bool:
        """Write a claim; whether it is ours.

        The claim is written a second time, which must fail: a store that takes no notice of
        conditions would let two pushes write to one version.
        """
        claim = json.dumps({"push": self._token}).encode()
        if not self._create(path, claim):
            return False
        try:
            self._store.write(path, claim, None)
        except ObjectTaken:
            pass
        else:
            raise StoreError(
                f"{self._store.url}: this store takes no notice of If-None-Match, so two pushes "
                "could write to one version; expected a store with conditional writes",
                lasting=True,
            )
        return True

    def _upload(self, directory: Path, manifest: Manifest) -> None:
        def one(path: str, size: int) -> None:
            target = version_path(manifest.model, manifest.version, path)
            self._store.upload(target, directory / path)
            self._progress(size)

        with ThreadPoolExecutor(_UPLOADS, "penstock-upload") as pool:
            running = [pool.submit(one, entry.path, entry.size) for entry in manifest.files]
            try:
                for each in running:
                    each.result()
            finally:
                for each in running:
                    each.cancel()

    def _write_once(self, path: str, content: bytes) -> None:
        if not self._create(path, content):
            raise Conflict(
                f"{self._store.url}/{path} exists already; another tool has put it there"
            )

    def _create(self, path: str, content: bytes) -> bool:
        """Write an object that is not there; whether it is ours.

        A write whose answer was lost is repeated, and then meets its own object.
        """
        try:
            self._store.write(path, content, None)
        except ObjectTaken:
            found = self._store.read(path)
            return found is not None and found.content == content
        return True

    def _announce(
        self, manifest: Manifest, entry: IndexEntry, known: tuple[Index, Found | None]
    ) -> None:
        """Make the index name the version.

        Args:
            manifest: The version.
            entry: What the index says of it.
            known: The index as it was at the start.
        """
        index, found = known
        pause = _FIRST_PAUSE_SECONDS
        for _ in range(_MOST_TRIES):
            if index.of(manifest.model).get(manifest.version) == entry:
                return
            _check_new(index, manifest.model, entry.source)
            after = index.with_version(manifest.model, manifest.version, entry)
            try:
                self._store.write(INDEX_FILE, encode_index(after), found)
            except ObjectTaken:
                self._sleep(pause * (0.5 + self._chance()))
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                index, found = read_index(self._store)
            else:
                return
        raise StoreError(
            f"{self._store.url}: {_MOST_TRIES} other pushes changed {INDEX_FILE} first; version "
            f"{manifest.version} of {manifest.model} is not published"
        )


def _check_new(index: Index, model: str, source: str) -> None:
    """Whether a version of MLflow is not published yet.

    Raises:
        PublishedBefore: It is.
    """
    version = index.made_of(model, source)
    if version is not None:
        raise PublishedBefore(version)
