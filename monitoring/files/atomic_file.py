"""Replacing files so that readers, and a crash, meet either the old content or the new one, whole.

A draft beside the file takes the new content and is renamed over it. Of the whole program only
append-only files (audit log, sample spool, SQLite) and files that processes map into their memory
(counters, pulses) are written in another way.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def replace_file(path: Path, content: bytes, mode: int = 0o644, *, synced: bool = True) -> None:
    """Put the content in place of the file.

    Args:
        path: Path of the file; its directory must be there.
        content: The new content.
        mode: Permissions of the new file, less the umask.
        synced: As in `drafted`.

    Raises:
        OSError: The file is as it was before.
    """
    with drafted(path, synced=synced) as draft:
        _write(draft, content, mode, os.O_EXCL)


@contextmanager
def drafted(path: Path, *, synced: bool = True) -> Iterator[Path]:
    """A path for a draft, which takes the place of the file when the block ends without an error.

    Args:
        path: Path of the file.
        synced: Whether to wait until the disk has it. Without, the file is still whole after a
            crash of the process, but may be lost or empty after a crash of the machine.

    Raises:
        OSError: The file is as it was before, and the draft is gone.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_native_id()}.new")
    try:
        draft.unlink(missing_ok=True)
        yield draft
        if synced:
            sync(draft)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    if synced:
        sync(path.parent)


def write_synced(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file and wait until it is on disk; what was there is overwritten."""
    _write(path, content, mode, os.O_TRUNC)
    sync(path)


def sync(path: Path) -> None:
    """Wait until the content of a file, or the names in a directory, are on disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: Path, content: bytes, mode: int, flags: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flags, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
