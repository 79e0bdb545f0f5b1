"""Which files a version has, for the prediction log."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from penstock.runtimes.contract import ModelLoadError
from penstock.server.registry.private_copy import digest_of_copy
from penstock.server.registry.verification import read_manifest
from penstock.server.target.target import read_target

if TYPE_CHECKING:
    from pathlib import Path


def digest_of(target: Path, model: str, version: str) -> str:
    """The digest of a version that is served; empty if nobody knows it.

    Args:
        target: File of the last target.
        model: Its name.
        version: Its number, as text.
    """
    with suppress(ModelLoadError, OSError, ValueError, KeyError, TypeError):
        plan = read_target(target).models.get(model)
        directory = None if plan is None else plan.versions.get(int(version))
        if directory is not None:
            manifest = read_manifest(directory)
            return digest_of_copy(directory) or ("" if manifest is None else manifest.digest)
    return ""
