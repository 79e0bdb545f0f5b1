"""A version directory against its manifest. Every file is read; nothing is believed."""

from __future__ import annotations

import errno
import hashlib
import os
from typing import TYPE_CHECKING, Final

from penstock.monitoring.files.config_file import read_descriptor
from penstock.server.files.listing import list_files
from penstock.server.files.refusal import ModelRefused
from penstock.server.files.safe_files import open_directory, open_file

from .manifest import MANIFEST_FILE, FileEntry, ManifestError, parse_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from penstock.server.files.roots import Roots
    from penstock.server.files.safe_files import Folder

    from .manifest import Manifest

_MAX_BYTES: Final = 16 << 20
_CHUNK_BYTES: Final = 1 << 20


def read_manifest(directory: Path, roots: Roots | None = None) -> Manifest | None:
    """The manifest of a version directory; ``None`` if it has none.

    Args:
        directory: Directory of the version.
        roots: Directories in which links in it may end.

    Raises:
        ManifestError: It is there and cannot be believed.
    """
    source = str(directory / MANIFEST_FILE)
    try:
        with open_directory(directory, roots) as root:
            if not _exists(root.descriptor):
                return None
            with open_file(root, MANIFEST_FILE) as (descriptor, _):
                return parse_manifest(read_descriptor(descriptor, _MAX_BYTES), source)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise ManifestError(f"{source}: {error.strerror}") from error
        raise
    except ModelRefused as refusal:
        raise ManifestError(f"{source}: {refusal}") from refusal


def verify(
    directory: Path,
    manifest: Manifest,
    progress: Callable[[int], None] | None = None,
    roots: Roots | None = None,
) -> tuple[str, ...]:
    """The differences of a directory from its manifest; empty if there are none. Reads every file.

    Args:
        directory: Directory of the version.
        manifest: Manifest with the expected files.
        progress: Called with the number of bytes read since the last call.
        roots: Directories in which links in it may end.
    """
    problems: list[str] = []
    try:
        with open_directory(directory, roots) as root:
            present = {fact.path for fact in list_files(root)} - {MANIFEST_FILE}
            listed = {entry.path for entry in manifest.files}
            problems += [f"{path} is not in the manifest" for path in sorted(present - listed)]
            for entry in manifest.files:
                problem = _verify_file(root, entry, progress)
                if problem:
                    problems.append(problem)
    except ModelRefused as refusal:
        problems += refusal.reasons
    except OSError as error:
        problems.append(f"cannot be read: {error}")
    return tuple(problems)


def hash_files(directory: Path, roots: Roots | None = None) -> tuple[FileEntry, ...]:
    """The files as a manifest would list them, for a version that has none.

    Args:
        directory: Directory of the version.
        roots: Directories in which links in it may end.

    Raises:
        ModelRefused: Not all of them are plain files that can be read.
    """
    with open_directory(directory, roots) as root:
        entries = []
        for fact in list_files(root):
            if fact.path == MANIFEST_FILE:
                continue
            with open_file(root, fact.path) as (descriptor, facts):
                entries.append(FileEntry(fact.path, facts.st_size, _sha256(descriptor, None)))
        return tuple(entries)


def _verify_file(
    root: Folder, entry: FileEntry, progress: Callable[[int], None] | None
) -> str | None:
    try:
        with open_file(root, entry.path) as (descriptor, facts):
            if facts.st_size != entry.size:
                return f"{entry.path} has {facts.st_size} bytes, the manifest says {entry.size}"
            sha256 = _sha256(descriptor, progress)
    except ModelRefused as refusal:
        return str(refusal)
    if sha256 != entry.sha256:
        return f"{entry.path} is not the file that was published: its SHA-256 differs"
    return None


def _sha256(descriptor: int, progress: Callable[[int], None] | None) -> str:
    digest = hashlib.sha256()
    while chunk := os.read(descriptor, _CHUNK_BYTES):
        digest.update(chunk)
        if progress is not None:
            progress(len(chunk))
    return digest.hexdigest()


def _exists(root: int) -> bool:
    try:
        os.stat(MANIFEST_FILE, dir_fd=root, follow_symlinks=False)
    except OSError:
        return False
    return True
