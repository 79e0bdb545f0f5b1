"""Where ``penstock push`` publishes: a directory, or an object store."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.server.files.config_error import ConfigError

from .command_failed import CommandFailed
from .exits import Exit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.server.registry.publish import Details, Published
    from penstock.server.registry.publish_place import PublishPlace
    from penstock.server.store.adoption import Send


@dataclass(frozen=True, slots=True)
class PushPlace:
    """A place as a user names it.

    Attributes:
        publishing: The place.
        store: URL of the store; empty for a directory.
    """

    publishing: PublishPlace
    store: str

    @property
    def registry(self) -> Path:
        """See `PublishPlace.registry`."""
        return self.publishing.registry

    def path_of(self, published: Published) -> str:
        """Where the version is."""
        if not self.store:
            return str(published.directory)
        return f"{self.store}/{published.manifest.model}/{published.manifest.version}"

    def adopt(self, model: str, send: Send, details: Details) -> Published:
        """Take over a version of a store, whose files were uploaded by hand.

        Raises:
            CommandFailed: It has no number, or the place is a directory.
            OSError: The store fails, or the disk.
        """
        from penstock.server.store.store_place import StorePlace

        if not isinstance(self.publishing, StorePlace):
            raise CommandFailed(
                "--adopt is for object stores: in a directory a version without a manifest is "
                "served when its files keep still",
                Exit.USAGE,
            )
        if details.version is None:
            raise CommandFailed("--adopt needs --number N, the version to take over", Exit.USAGE)
        return self.publishing.adopt(model, send, details)


@contextmanager
def open_push_place(registry: str, model: str) -> Iterator[PushPlace]:
    """The place that a user names by a path or a URL.

    Args:
        registry: The path or the URL.
        model: The model that is published.

    Raises:
        CommandFailed: The URL names no store that takes anything.
        StoreError: The store does not answer.
    """
    from penstock.server.config.store_options import located
    from penstock.server.store.store_place import open_place

    with ExitStack() as stack:
        try:
            found = located({"registry": registry}, "REGISTRY")
            store = found.get("store", "")
            home = Path(found.get("registry", ""))
            place = stack.enter_context(open_place(home, store, model))
        except ConfigError as error:
            raise CommandFailed(error, Exit.USAGE) from None
        yield PushPlace(place, store)
