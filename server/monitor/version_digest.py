"""Which files a version has, for the prediction log."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from penstock.runtimes.contract import ModelLoadError
from penstock.server.registry.private_copy import digest_of_copy
from penstock.server.registry.verification import read_manifest
from penstock.server.target.target import Target, decode_target
from penstock.server.target.target_file import TargetFile

if TYPE_CHECKING:
    from pathlib import Path


class VersionDigests:
    """The digests of the versions that are served.

    Args:
        target: File of the last target.
    """

    def __init__(self, target: Path) -> None:
        self._target = TargetFile(target, decode_target, Target())

    def __call__(self, model: str, version: str) -> str:
        """The digest of a version; empty if nobody knows it.

        Args:
            model: Name of the model.
            version: Its number, as text.
        """
        with suppress(ModelLoadError, OSError, ValueError):
            plan = self._target.current().models.get(model)
            directory = None if plan is None else plan.versions.get(int(version))
            if directory is not None:
                manifest = read_manifest(directory)
                return digest_of_copy(directory) or ("" if manifest is None else manifest.digest)
        return ""
