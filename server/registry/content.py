"""The content of a version without a manifest: hashes, and parts that look unwritten.

Copy tools that give a file its full size before they fill it leave no trace in size or times when
they stall. They leave a part that was never written: a hole, which the file system knows, or a long
run of zero bytes. A complete model may have both, so neither refuses a version; each makes the
intake wait longer.
"""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from penstock.server.files.listing import list_files
from penstock.server.files.safe_files import open_directory, open_file

from .manifest import MANIFEST_FILE, FileEntry

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.server.files.roots import Roots

_CHUNK_BYTES: Final = 1 << 16
_ZEROS: Final = bytes(_CHUNK_BYTES)
#: The end of a file is looked at as well, if it is at least so long.
_SHORTEST_BYTES: Final = 4096
_BLOCK_BYTES: Final = 512


@dataclass(frozen=True, slots=True)
class Content:
    """The content that was read.

    Attributes:
        entries: Each file, its size and hash.
        hole: Names the first hole in a file; empty if there is none.
        zeros: Names the first long run of zero bytes; empty if there is none.
        imports: Says which operator set is not imported, so that the end may be missing; or empty.
    """

    entries: tuple[FileEntry, ...]
    hole: str = ""
    zeros: str = ""
    imports: str = ""


def read_content(directory: Path, roots: Roots | None = None) -> Content:
    """Read every file of a version.

    Args:
        directory: Directory of the version.
        roots: Directories in which links in it may end.

    Raises:
        ModelRefused: Not all of them are files that may be read.
        OSError: Something cannot be read now.
    """
    entries: list[FileEntry] = []
    hole = zeros = ""
    with open_directory(directory, roots) as folder:
        for fact in list_files(folder):
            if fact.path == MANIFEST_FILE:
                continue
            with open_file(folder, fact.path) as (descriptor, facts):
                at = first_hole(descriptor, facts)
                sha256, zeros_at = _read(descriptor)
            entries.append(FileEntry(fact.path, facts.st_size, sha256))
            if at is not None and not hole:
                hole = f"{fact.path} has a hole at byte {at} of {facts.st_size}"
            if zeros_at is not None and not zeros:
                zeros = f"{fact.path} has only zeros from byte {zeros_at} of {facts.st_size} on"
    return Content(tuple(entries), hole, zeros)


def first_hole(descriptor: int, facts: os.stat_result) -> int | None:
    """The offset of the first hole of a file; ``None`` if there is none.

    A file system that cannot tell (``EINVAL``) still says how many blocks a file has.
    """
    if not facts.st_size:
        return None
    try:
        at = os.lseek(descriptor, 0, os.SEEK_HOLE)
        os.lseek(descriptor, 0, os.SEEK_SET)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
        written = facts.st_blocks * _BLOCK_BYTES
        return written if written < facts.st_size else None
    return at if at < facts.st_size else None


def _read(descriptor: int) -> tuple[str, int | None]:
    """SHA-256 in hex, and the offset of the first chunk of zeros.

    Most chunks differ from zeros in their first byte, so the comparison costs nothing.
    """
    digest = hashlib.sha256()
    at, zeros_at = 0, None
    while chunk := os.read(descriptor, _CHUNK_BYTES):
        digest.update(chunk)
        if zeros_at is None and len(chunk) >= _SHORTEST_BYTES and chunk == _ZEROS[: len(chunk)]:
            zeros_at = at
        at += len(chunk)
    return digest.hexdigest(), zeros_at
