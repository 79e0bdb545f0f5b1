"""An object store as a place to publish to: a version is checked here first, then uploaded."""

from __future__ import annotations

import secrets
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.monitoring.distribution import install_command
from penstock.monitoring.files.decoding import ContentError
from penstock.server.config.store_url import parse_store_url
from penstock.server.files.config_error import ConfigError
from penstock.server.registry.earlier_versions import check_number
from penstock.server.registry.manifest import MANIFEST_FILE, ManifestError, parse_manifest
from penstock.server.registry.mlflow_version import mlflow_version_of
from penstock.server.registry.publish import Published
from penstock.server.registry.publish_place import DirectoryPlace, PublishPlace
from penstock.server.registry.repository import MODEL_FILE, MODEL_NAME

from .adoption import adopt
from .index_reader import read_index
from .layout import version_path
from .publish import PublishedBefore, Publisher
from .store_error import StoreError
from .version_download import download_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from penstock.server.registry.manifest import Manifest
    from penstock.server.registry.mlflow_version import MlflowVersion
    from penstock.server.registry.publish import Details

    from .adoption import Send
    from .index import Index
    from .object_store import ObjectStore


class StorePlace:
    """A `PublishPlace` in front of a store.

    Args:
        store: The store.
        registry: An empty directory, for what is checked.
        index: All versions of the store.
    """

    def __init__(self, store: ObjectStore, registry: Path, index: Index) -> None:
        self.registry = registry
        self._store = store
        self._index = index

    def find(self, model: str, source: MlflowVersion, wanted: int | None) -> Published | None:
        """See `PublishPlace.find`."""
        version = self._index.made_of(model, str(source))
        if version is None:
            return None
        check_number(source, version, wanted)
        return self._published_before(model, version)

    def bring(self, model: str, version: int | None) -> None:
        """See `PublishPlace.bring`."""
        home = self.registry / model
        if version is None:
            if MODEL_NAME.fullmatch(model):  # else who looks there says what is wrong with it
                self._outline(model)
        elif (place := home / str(version)).is_dir() and not any(place.iterdir()):
            manifest, content = self._manifest(model, version)
            download_version(self._store, (model, version), manifest, place)
            (place / MANIFEST_FILE).write_bytes(content)

    def finish(
        self, published: Published, wanted: int | None, progress: Callable[[int], object]
    ) -> Published:
        """See `PublishPlace.finish`."""
        manifest = published.manifest
        if not published.new:
            return published
        publisher = Publisher(self._store, secrets.token_hex(16), progress=progress)
        try:
            manifest = publisher.publish(published.directory, manifest, wanted)
        except PublishedBefore as before:
            if (source := mlflow_version_of(manifest.metadata)) is not None:
                check_number(source, before.version, wanted)
            return self._published_before(manifest.model, before.version)
        except ContentError as error:
            raise StoreError(str(error), lasting=True) from None
        known = self._index.of(manifest.model)
        same = [number for number, one in known.items() if one.digest == manifest.digest]
        return replace(published, manifest=manifest, same_as=max(same, default=None))

    def adopt(self, model: str, send: Send, details: Details) -> Published:
        """Take over the files of a version that were uploaded by hand; see `adopt`."""
        publisher = Publisher(self._store, secrets.token_hex(16))
        (self.registry / model / str(details.version)).mkdir(parents=True, exist_ok=True)
        try:
            return adopt(self._store, publisher, self.registry, model, send, details)
        except ContentError as error:
            raise StoreError(str(error), lasting=True) from None

    def _outline(self, model: str) -> None:
        """Show what the checks of a push read: taken numbers, and the model's settings."""
        settings = self._store.read(f"{model}/{MODEL_FILE}")
        versions = self._index.of(model)
        if settings is None and not versions:
            return
        home = self.registry / model
        home.mkdir(exist_ok=True)
        if settings is not None:
            (home / MODEL_FILE).write_bytes(settings.content)
        for version in versions:
            (home / str(version)).mkdir(exist_ok=True)

    def _published_before(self, model: str, version: int) -> Published:
        directory = self.registry / model / str(version)
        return Published(directory, self._manifest(model, version)[0], new=False)

    def _manifest(self, model: str, version: int) -> tuple[Manifest, bytes]:
        """The manifest of a version, and its bytes.

        Raises:
            StoreError: It is not there, or none.
        """
        path = version_path(model, version, MANIFEST_FILE)
        found = self._store.read(path)
        if found is None:
            raise StoreError(f"{self._store.url}: {path} is not there", lasting=True)
        try:
            return parse_manifest(found.content, f"{self._store.url}/{path}"), found.content
        except ManifestError as error:
            raise StoreError(str(error), lasting=True) from None


@contextmanager
def open_place(registry: Path, store: str, model: str) -> Iterator[PublishPlace]:
    """The place where a version of a model is published.

    Args:
        registry: The directory of the registry, if it is in none.
        store: URL of the object store of the registry; empty for a directory.
        model: Name of the model.

    Raises:
        ConfigError: The URL names no store that takes anything, or its client is not installed.
        StoreError: The store does not answer, or its index is damaged.
    """
    if not store:
        yield DirectoryPlace(registry)
        return
    opened = _open(store)
    try:
        index = read_index(opened)[0]
    except ContentError as error:
        told = f"{error}; remove it: the next push makes a new one"
        raise StoreError(told, lasting=True) from None
    with tempfile.TemporaryDirectory(prefix="penstock-push-") as draft:
        place = StorePlace(opened, Path(draft), index)
        place.bring(model, None)
        yield place


def _open(text: str) -> ObjectStore:
    url = parse_store_url(text)
    if url.read_only:
        raise ConfigError(
            f"{url} is read-only: publish to the bucket or the directory that is behind it"
        )
    if find_spec("obstore") is None:
        raise ConfigError(f"{url} needs the extra store: {install_command('store')}")
    from .object_store import open_store

    return open_store(url)
