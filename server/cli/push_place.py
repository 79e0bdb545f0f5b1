"""Where ``penstock push`` publishes: a directory, or an object store."""

from __future__ import annotations

import secrets
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.monitoring.distribution import install_command
from penstock.monitoring.files.decoding import ContentError
from penstock.server.config.store_url import is_url, parse_store_url
from penstock.server.files.config_error import ConfigError

from .command_failed import CommandFailed
from .exits import Exit
from .progress import byte_bar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from penstock.server.registry.publish import Published
    from penstock.server.store.index import Index
    from penstock.server.store.object_store import ObjectStore

    #: Publishes what was checked; takes the number that was asked for, if one was.
    Finish = Callable[[Published, int | None], Published]


@dataclass(frozen=True, slots=True)
class PushPlace:
    """Where a version is checked, and where it is published.

    Attributes:
        registry: A registry of this machine. For a store it is a temporary one, with the numbers
            of the model's versions and its ``model.toml``.
        store: URL of the store; empty for a directory.
        finish: Publishes what the registry has now.
    """

    registry: Path
    store: str
    finish: Finish

    def path_of(self, published: Published) -> str:
        """Where the version is."""
        if not self.store:
            return str(published.directory)
        return f"{self.store}/{published.manifest.model}/{published.manifest.version}"


@contextmanager
def open_place(registry: str, model: str) -> Iterator[PushPlace]:
    """The place that a user names by a path or a URL.

    Args:
        registry: The path or the URL.
        model: The model that is published.

    Raises:
        CommandFailed: The URL names no store that takes anything.
        StoreError: The store does not answer.
    """
    if not is_url(registry) or registry.startswith("file://"):
        yield PushPlace(_directory(registry), "", lambda published, _: published)
        return
    from penstock.server.registry.repository import MODEL_NAME

    with tempfile.TemporaryDirectory(prefix="penstock-push-") as draft:
        store = _open(registry)
        home = Path(draft, model)
        index = _index(store)
        if MODEL_NAME.fullmatch(model):  # else `publish` says what is wrong with it
            _outline(store, index, home)
        yield PushPlace(Path(draft), str(store.url), _finisher(store, index))


def _directory(registry: str) -> Path:
    from penstock.server.config.store_options import located

    try:
        return Path(located({"registry": registry}, "REGISTRY")["registry"])
    except ConfigError as error:
        raise CommandFailed(error, Exit.USAGE) from None


def _open(text: str) -> ObjectStore:
    try:
        url = parse_store_url(text)
    except ConfigError as error:
        raise CommandFailed(error, Exit.USAGE) from None
    if url.read_only:
        raise CommandFailed(
            f"{url} is read-only: publish to the bucket or the directory that is behind it",
            Exit.USAGE,
        )
    if find_spec("obstore") is None:
        raise CommandFailed(f"{url} needs the extra store: {install_command('store')}", Exit.USAGE)
    from penstock.server.store.object_store import open_store

    return open_store(url)


def _index(store: ObjectStore) -> Index:
    from penstock.server.store.index_reader import read_index

    try:
        return read_index(store)[0]
    except ContentError as error:
        raise CommandFailed(f"{error}; remove it: the next push makes a new one") from None


def _outline(store: ObjectStore, index: Index, home: Path) -> None:
    """What the checks of a push read of a registry: taken numbers, and the model's settings."""
    from penstock.server.registry.repository import MODEL_FILE

    settings = store.read(f"{home.name}/{MODEL_FILE}")
    versions = index.of(home.name)
    if settings is None and not versions:
        return
    home.mkdir()
    if settings is not None:
        (home / MODEL_FILE).write_bytes(settings.content)
    for version in versions:
        (home / str(version)).mkdir()


def _finisher(store: ObjectStore, index: Index) -> Finish:
    def finish(published: Published, wanted: int | None) -> Published:
        from penstock.server.store.publish import Publisher

        manifest = published.manifest
        try:
            with byte_bar("uploading", manifest.total_bytes) as progress:
                publisher = Publisher(store, secrets.token_hex(16), progress=progress)
                manifest = publisher.publish(published.directory, manifest, wanted)
        except ContentError as error:
            raise CommandFailed(error) from None
        same = [n for n, one in index.of(manifest.model).items() if one.digest == manifest.digest]
        return replace(published, manifest=manifest, same_as=max(same, default=None))

    return finish
