"""Whole trees of files: copied so that the copy is on disk, removed, and locked."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CHUNK_BYTES: Final = 1 << 20


def copy_synced(
    source: int, path: Path, size: int, progress: Callable[[int], None] | None = None
) -> str:
    """Copy an open file into a new, read-only one, and wait until it is on disk.

    Args:
        source: Descriptor, at its start.
        path: Must not exist yet; its directory must.
        size: Expected bytes; no more than one chunk beyond is ever written.
        progress: Called with the number of bytes copied since the last call.

    Returns:
        The SHA-256 of what was copied, in hex.
    """
    import hashlib  # OpenSSL takes 4 MiB, which the supervisor does without

    digest = hashlib.sha256()
    left = size
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
    with os.fdopen(target, "wb", buffering=0) as file:
        while left >= 0 and (chunk := os.read(source, _CHUNK_BYTES)):
            digest.update(chunk)
            view = memoryview(chunk)
            while view:
                view = view[file.write(view) :]
            left -= len(chunk)
            if progress is not None:
                progress(len(chunk))
        os.fsync(target)
    return digest.hexdigest()


def remove_tree(path: Path) -> None:
    """Remove a directory, the read-only ones in it included; one that is not there is no error."""
    import shutil  # large, and a supervisor only locks

    for folder, _, _ in os.walk(path):
        with suppress(OSError):
            Path(folder).chmod(0o700)
    shutil.rmtree(path, ignore_errors=True)


@contextmanager
def locked(path: Path, *, wait: bool = True, shared: bool = False) -> Iterator[None]:
    """Hold the lock on a file or directory; it goes with the process that holds it.

    Args:
        path: Path of it; a file that is not there is made.
        wait: Whether to wait for who holds it.
        shared: Whether others may share it, too.

    Raises:
        BlockingIOError: It is held by another, and `wait` is off.
    """
    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(descriptor, kind if wait else kind | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
