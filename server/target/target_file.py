"""The file of the last target, as the processes beside control follow it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from penstock.monitoring.files.config_file import read_bounded
from penstock.monitoring.files.stamp import Stamp, stamp_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")

LOG = logging.getLogger("penstock.target")

_MAX_BYTES: Final = 256 << 20


class TargetFile(Generic[T]):
    """What the last target says, decoded again when the file is another one.

    Args:
        path: Path of the file, which control replaces.
        decode: Makes the value from the bytes. It raises `ValueError` if they are no target.
        at_first: Value before there is a target.
    """

    def __init__(self, path: Path, decode: Callable[[bytes], T], at_first: T) -> None:
        self._path = path
        self._decode = decode
        self._stamp: Stamp | None = None
        self._content = at_first

    def current(self) -> T:
        """The last target that was understood; the same object until there is another one.

        A file that is gone, or that cannot be read or understood, changes nothing; the log says
        why, once for each file that is not understood.
        """
        stamp = stamp_of(self._path)
        if stamp in {None, self._stamp}:
            return self._content
        try:
            content = read_bounded(self._path, _MAX_BYTES)
        except OSError as error:  # the next call tries again
            LOG.warning("the target cannot be read: %s", error)
            return self._content
        self._stamp = stamp
        try:
            self._content = self._decode(content)
        except ValueError as error:
            LOG.warning("the target is not understood, the one before it holds: %s", error)
        return self._content
