"""Zip archives that hold a model: checked before the library of the model opens them."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Final

from .contract import ModelLoadError
from .tables import first_line

if TYPE_CHECKING:
    from pathlib import Path

#: A larger entry that was compressed more than so many times is no state of a model.
_MAX_RATIO: Final = 200
_SMALL_BYTES: Final = 1 << 20
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def check_archive(
    path: Path, kind: str, *, most_entries: int, most_bytes: int
) -> dict[str, zipfile.ZipInfo]:
    """Refuse an archive that is none, that is cut off, or that would take more than it is worth.

    Args:
        path: The archive.
        kind: Name of the expected kind of file, as the words after "is no" in errors.
        most_entries: Most entries that it may have.
        most_bytes: Most bytes that all of them may take when they are unpacked.

    Returns:
        Its entries by name.

    Raises:
        ModelLoadError: It is refused; the message says why.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (OSError, zipfile.BadZipFile, ValueError, RuntimeError) as error:
        raise ModelLoadError(f"{path} is no {kind}: {first_line(error)}") from error
    if not 0 < len(entries) <= most_entries:
        raise ModelLoadError(f"{path} has {len(entries)} entries, expected 1 to {most_entries}")
    by_name = {one.filename: one for one in entries}
    if len(by_name) < len(entries):
        raise ModelLoadError(f"{path} has two entries of one name")
    total = sum(one.file_size for one in entries)
    if total > most_bytes:
        raise ModelLoadError(f"{path} has {total} bytes unpacked, at most {most_bytes} are read")
    for one in entries:
        _check_entry(path, one)
    return by_name


def _check_entry(path: Path, entry: zipfile.ZipInfo) -> None:
    name = entry.filename
    if name.startswith("/") or ".." in name.split("/") or "\\" in name:
        raise ModelLoadError(f"{path} has an entry outside of itself: {name!r}")
    if entry.flag_bits & 1 or entry.compress_type not in _METHODS:
        raise ModelLoadError(f"{path} has an entry that is encrypted or packed oddly: {name!r}")
    if entry.file_size > _SMALL_BYTES and entry.file_size > _MAX_RATIO * entry.compress_size:
        raise ModelLoadError(
            f"{path} has an entry that unpacks to {entry.file_size} bytes from "
            f"{entry.compress_size}: {name!r}"
        )
