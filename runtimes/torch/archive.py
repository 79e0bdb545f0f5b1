"""A torch file: a zip archive, checked before torch opens it."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Final

from penstock.runtimes.contract import ModelLoadError
from penstock.runtimes.tables import first_line

if TYPE_CHECKING:
    from pathlib import Path

_MAX_ENTRIES: Final = 200_000
#: Larger than any model that fits into the memory of one machine.
_MAX_BYTES: Final = 1 << 42
_MAX_RATIO: Final = 200
_SMALL_BYTES: Final = 1 << 20


def check_archive(path: Path) -> None:
    """Refuse an archive that is none, that is cut off, or that would take more than it is worth.

    Raises:
        ModelLoadError: It is refused; the message says why.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (OSError, zipfile.BadZipFile, ValueError, RuntimeError) as error:
        raise ModelLoadError(f"{path} is no file of torch: {first_line(error)}") from error
    names = [one.filename for one in entries]
    if not entries or len(entries) > _MAX_ENTRIES:
        raise ModelLoadError(f"{path} has {len(entries)} entries, expected 1 to {_MAX_ENTRIES}")
    if len(set(names)) < len(names):
        raise ModelLoadError(f"{path} has two entries of one name")
    if sum(one.file_size for one in entries) > _MAX_BYTES:
        raise ModelLoadError(f"{path} unpacks to more than {_MAX_BYTES} bytes")
    for one in entries:
        name = one.filename
        if name.startswith("/") or ".." in name.split("/") or "\\" in name:
            raise ModelLoadError(f"{path} has an entry outside of itself: {name!r}")
        if one.file_size > _SMALL_BYTES and one.file_size > _MAX_RATIO * one.compress_size:
            raise ModelLoadError(
                f"{path} has an entry that unpacks to {one.file_size} bytes from "
                f"{one.compress_size}: {name!r}"
            )
