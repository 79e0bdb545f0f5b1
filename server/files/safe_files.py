"""Files of a version directory, opened so that nothing outside of it can be meant.

Every path is walked component by component from a directory descriptor. Links are followed only in
the registry, and only to where `penstock.server.files.roots` lets them end. What is no regular
file is never opened: opening a pipe waits, opening a device acts.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .refusal import ModelRefused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .roots import Roots

DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_AS_IT_IS: Final = os.O_PATH | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_MAX_PATH_BYTES: Final = 1024

_KINDS: Final = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISDIR, "a directory"),
)


@dataclass(frozen=True, slots=True)
class Folder:
    """A directory that is open, from which everything below it is reached.

    Attributes:
        descriptor: Descriptor of it.
        owner: User id of its owner.
        roots: Directories in which links in it may end; ``None`` follows none, and takes no file
            that has a second name: that is for files that somebody else made.
    """

    descriptor: int
    owner: int
    roots: Roots | None = None


@contextmanager
def open_directory(path: Path, roots: Roots | None = None) -> Iterator[Folder]:
    """A directory, from which everything below it is reached.

    Args:
        path: Path of the file.
        roots: Directories in which it must lie, and in which links in it may end; see `Folder`.

    Raises:
        ModelRefused: It is not there, is no directory, or a link led elsewhere.
        OSError: It cannot be read now.
    """
    try:
        descriptor = os.open(path, DIRECTORY)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ModelRefused(f"{path} cannot be read: {error.strerror}") from error
    try:
        if roots is not None and roots.roots:
            roots.check(descriptor, path.name)
        yield Folder(descriptor, os.fstat(descriptor).st_uid, roots)
    finally:
        os.close(descriptor)


def check_relative(path: str) -> list[str]:
    """The components of a path that means a place below where it starts.

    Raises:
        ModelRefused: It may mean another place, or is none that an honest tool would write.
    """
    parts = path.split("/")
    if not path:
        reason = "is empty"
    elif path.startswith("/"):
        reason = "is absolute"
    elif ".." in parts:
        reason = "leads upwards"
    elif not all(parts) or "." in parts:
        reason = "is not in its plain form"
    elif not path.isprintable() or "\\" in path:
        reason = "has characters that no file name here needs"
    elif "_MEM_ADDR_" in path:  # onnxruntime reads an address in its own memory from such a name
        reason = "is a mark that onnxruntime keeps for itself"
    elif len(path.encode()) > _MAX_PATH_BYTES:
        reason = f"is longer than {_MAX_PATH_BYTES} bytes"
    else:
        return parts
    raise ModelRefused(f"the path {path[:100]!r} {reason}")


@contextmanager
def open_file(folder: Folder, path: str) -> Iterator[tuple[int, os.stat_result]]:
    """A file below the directory, with what ``fstat`` says of it.

    Args:
        folder: From `open_directory`.
        path: Relative to it; trusted by nobody.

    Raises:
        ModelRefused: It leads elsewhere, is missing, or is no regular file that may be read.
        OSError: It cannot be read now.
    """
    opened: list[int] = []
    try:
        facts = _walk_to(folder, check_relative(path), opened)
        yield opened[-1], facts
    finally:
        for descriptor in reversed(opened):
            os.close(descriptor)


def _walk_to(folder: Folder, parts: list[str], opened: list[int]) -> os.stat_result:
    """Open every component; the last one is the file."""
    path, name, directory = "/".join(parts), parts[-1], folder.descriptor
    try:
        for part in parts[:-1]:
            if folder.roots is None:
                opened.append(os.open(part, DIRECTORY | os.O_NOFOLLOW, dir_fd=directory))
            else:
                opened.append(followed(part, directory, folder.roots, path))
                opened.append(os.open(f"/proc/self/fd/{opened[-1]}", DIRECTORY))
            directory = opened[-1]
        facts = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISLNK(facts.st_mode) and folder.roots is not None:
            opened.append(followed(name, directory, folder.roots, path))
            check_plain(os.fstat(opened[-1]), path, folder)
            opened.append(os.open(f"/proc/self/fd/{opened[-1]}", _FILE & ~os.O_NOFOLLOW))
        else:
            check_plain(facts, path, folder)
            opened.append(os.open(name, _FILE, dir_fd=directory))
        facts = os.fstat(opened[-1])
    except FileNotFoundError:
        raise ModelRefused(f"{path} is missing") from None
    except NotADirectoryError:
        raise ModelRefused(f"{path}: not every folder on the way is a plain directory") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ModelRefused(f"{path} is or has a symbolic link that is not followed") from None
        raise
    check_plain(facts, path, folder)  # it may have been exchanged in between
    return facts


def followed(name: str, directory: int, roots: Roots, path: str) -> int:
    """What a name leads to, opened without acting on it; it lies where links may end.

    Raises:
        ModelRefused: It lies elsewhere, or leads nowhere.
    """
    link = stat.S_ISLNK(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
    try:
        descriptor = os.open(name, _AS_IT_IS, dir_fd=directory)
    except OSError as error:
        if link and error.errno in {errno.ENOENT, errno.ENOTDIR}:
            text = os.readlink(name, dir_fd=directory)
            raise ModelRefused(
                f"{path} is a symbolic link to {text!r}, which is not there"
            ) from None
        if link and error.errno == errno.ELOOP:
            raise ModelRefused(f"{path} is a symbolic link that leads back to itself") from None
        raise
    try:
        roots.check(descriptor, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def check_plain(facts: os.stat_result, path: str, folder: Folder) -> None:
    """Whether a file may be read.

    Raises:
        ModelRefused: It is no regular file, or has a second name where none is allowed.
    """
    if not stat.S_ISREG(facts.st_mode):
        kind = next((words for test, words in _KINDS if test(facts.st_mode)), "something else")
        raise ModelRefused(f"{path} is {kind}, expected a regular file")
    if facts.st_nlink > 1:
        if folder.roots is None:
            raise ModelRefused(f"{path} is a hard link: the same file has another name elsewhere")
        if facts.st_uid not in {folder.owner, os.geteuid()}:
            raise ModelRefused(
                f"{path} is a hard link to a file of another user (id {facts.st_uid}), expected "
                "one of the directory's owner"
            )
