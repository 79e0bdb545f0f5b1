"""Files of versions that are not on this machine yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from .intake_result import Key
    from .manifest import Manifest


class RemoteFiles(Protocol):
    """Fetches the files of versions whose directories in the registry hold a manifest only."""

    def obtain(self, key: Key, manifest: Manifest) -> Path:
        """A directory with all files of a version. Does not wait for the network.

        Raises:
            Waiting: They are being fetched; the message says how far that is.
            ModelRefused: A file is not as it was published.
            OSError: They cannot be fetched now.
        """
        ...

    def keep(self, keys: Collection[Key]) -> None:
        """Give up and remove what no version of these has asked for."""
        ...

    def release(self, manifest: Manifest) -> None:
        """Remove what `obtain` has given; nothing happens if that is gone."""
        ...
