"""Reads which versions are pipelines, and the pins of these; unchanged files are read once."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from penstock.server.files.refusal import ModelRefused
from penstock.server.files.roots import OWN

from .pins import read_pipeline
from .pipeline_file import PIPELINE_FILE

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from penstock.server.files.roots import Roots

    from .pins import Pin

#: Directory of a version, and digest of its files.
_Key = tuple["Path", str]


class PinReader:
    """Reads the pins of versions again and again. Blocking; for one thread."""

    def __init__(self) -> None:
        self._known: dict[_Key, tuple[Pin, ...]] = {}

    def read(self, directory: Path, digest: str) -> tuple[Pin, ...]:
        """The pins of a version; none if it is no pipeline, or if its load is going to refuse it.

        Args:
            directory: Directory of the version.
            digest: Digest of its files.
        """
        key = directory, digest
        pins = self._known.get(key)
        if pins is None:
            pins = self._known[key] = pins_of(directory)
        return pins

    def keep(self, keys: Collection[_Key]) -> None:
        """Forget all versions but these."""
        self._known = {key: pins for key, pins in self._known.items() if key in keys}


def pins_of(directory: Path, roots: Roots = OWN) -> tuple[Pin, ...]:
    """The pins of a version directory; none if it is no pipeline or cannot be read as one."""
    if (directory / PIPELINE_FILE).is_file():
        with suppress(ModelRefused, OSError):
            return read_pipeline(directory, roots)[1]
    return ()
