"""The versions of a model that a new one is compared with, by their manifests."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from penstock.server.errors import Conflict

from .manifest import ManifestError
from .repository import VERSION_NAME
from .verification import read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .manifest import Manifest
    from .mlflow_version import MlflowVersion

#: Versions that are compared, the newest.
_MOST: Final = 1000


def same_files(home: Path, digest: str) -> int | None:
    """The newest version with these files; ``None`` if no manifest has their digest."""
    return next((one.version for one in _manifests(home) if one.digest == digest), None)


def made_of(home: Path, source: MlflowVersion | None, wanted: int | None) -> Manifest | None:
    """The manifest of the version that was made of a version of MLflow; ``None`` if none was.

    Args:
        home: Directory of the model.
        source: The version of MLflow; ``None`` for a version that comes from elsewhere.
        wanted: The number that the version is to have; ``None`` for any.

    Raises:
        Conflict: There is one, and it has another number.
    """
    if source is None:
        return None
    named = source.metadata.items()
    found = next((one for one in _manifests(home) if named <= one.metadata.items()), None)
    if found is not None:
        check_number(source, found.version, wanted)
    return found


def check_number(source: MlflowVersion, version: int, wanted: int | None) -> None:
    """Whether the version that was made of a version of MLflow has the number that is wanted.

    Raises:
        Conflict: It has another one.
    """
    if wanted not in {None, version}:
        raise Conflict(
            f"{source.uri} is version {version} already, and a version of MLflow is published "
            "once; leave the number out"
        )


def _manifests(home: Path) -> Iterator[Manifest]:
    """The manifests of a model's versions, the newest first."""
    try:
        numbers = [int(one.name) for one in home.iterdir() if VERSION_NAME.fullmatch(one.name)]
    except FileNotFoundError:
        return
    for version in sorted(numbers, reverse=True)[:_MOST]:
        with suppress(OSError, ManifestError):
            found = read_manifest(home / str(version))
            if found is not None and found.version == version:
                yield found
