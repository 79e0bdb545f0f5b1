"""Copies the files of a version out of a store, and compares them with its manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.server.files.refusal import ModelRefused

from .layout import version_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from penstock.server.registry.intake_result import Key
    from penstock.server.registry.manifest import Manifest

    from .object_store import ObjectStore


def download_version(
    store: ObjectStore,
    key: Key,
    manifest: Manifest,
    directory: Path,
    progress: Callable[[int], object] = lambda _: None,
) -> None:
    """Copy the files of a version into a directory.

    Args:
        store: The store.
        key: Model and number of the version.
        manifest: Of the version.
        directory: Takes the files.
        progress: Called with the length of each piece; what it raises ends the download.

    Raises:
        ModelRefused: A file is not the one that was published.
        StoreError: A file does not come whole.
        OSError: The disk.
    """
    for entry in manifest.files:
        target = directory / entry.path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with target.open("wb") as file:
            path = version_path(*key, entry.path)
            sha256 = store.download(path, file, entry.size, progress)
            count = file.tell()
        if count != entry.size or sha256 != entry.sha256:
            raise ModelRefused(
                f"{entry.path} in {store.url} is not the file that was published: "
                f"its SHA-256 differs"
            )
