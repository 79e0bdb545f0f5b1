"""The manifest of a version that is served, perhaps from a private copy, which has no manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .private_copy import digest_of_copy
from .verification import read_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from .manifest import Manifest


def served_manifest(directory: Path, published: Path) -> Manifest | None:
    """The manifest of a version; ``None`` if it was not published with one.

    Args:
        directory: That it is served from: of the registry, or a private copy.
        published: Its directory in the registry, with the manifest of what was copied, unless
            other files are there by now.

    Raises:
        ModelLoadError: The manifest cannot be believed.
        OSError: It cannot be read, or the registry is away.
    """
    manifest = read_manifest(directory)
    digest = digest_of_copy(directory) if manifest is None else None
    if digest is None:
        return manifest
    if not published.is_dir():
        raise FileNotFoundError(published)
    manifest = read_manifest(published)
    return manifest if manifest is not None and manifest.digest == digest else None
