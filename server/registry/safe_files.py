"""Files of a version directory, opened so that nothing outside of it can be meant.

Every path is walked component by component from a directory descriptor without following links;
what is no regular file with one name is never opened: opening a pipe waits, opening a device acts.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .refusal import ModelRefused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_MAX_DEPTH: Final = 8
_MAX_FILES: Final = 10_000
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
class FileFact:
    """One regular file.

    Attributes:
        path: Relative to the version directory, with ``/``.
        size: In bytes.
        changed_ns: When its content or its name last changed, in nanoseconds since 1970. A copy
            that keeps times of modification does not keep this one.
    """

    path: str
    size: int
    changed_ns: int


@contextmanager
def open_directory(path: Path) -> Iterator[int]:
    """A descriptor of the directory, from which everything below is reached.

    Raises:
        ModelRefused: It is not a directory that can be read.
    """
    try:
        descriptor = os.open(path, _DIRECTORY)
    except OSError as error:
        raise ModelRefused(f"{path} cannot be read: {error.strerror}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def list_files(directory: int) -> list[FileFact]:
    """Every file of a version, in alphabetical order of the paths.

    Args:
        directory: From `open_directory`.

    Raises:
        ModelRefused: There is something else than plain files and directories, or too much.
    """
    found: list[FileFact] = []
    reasons: list[str] = []
    try:
        _list(directory, "", found, reasons, 0)
    except OSError as error:
        raise ModelRefused(f"cannot be read: {error}") from error
    if reasons:
        raise ModelRefused(*reasons)
    return sorted(found, key=lambda fact: fact.path)


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
def open_file(directory: int, path: str) -> Iterator[tuple[int, os.stat_result]]:
    """A file below the directory, with what ``fstat`` says of it.

    Args:
        directory: From `open_directory`.
        path: Relative to it; trusted by nobody.

    Raises:
        ModelRefused: It leads elsewhere, is missing, or is not a regular file with one name.
    """
    opened: list[int] = []
    try:
        facts = _walk_to(directory, check_relative(path), opened)
        yield opened[-1], facts
    finally:
        for descriptor in reversed(opened):
            os.close(descriptor)


def _walk_to(directory: int, parts: list[str], opened: list[int]) -> os.stat_result:
    """Open every component; the last one is the file."""
    path, name = "/".join(parts), parts[-1]
    try:
        for folder in parts[:-1]:
            opened.append(os.open(folder, _DIRECTORY | os.O_NOFOLLOW, dir_fd=directory))
            directory = opened[-1]
        _check_plain(os.stat(name, dir_fd=directory, follow_symlinks=False), path)
        opened.append(os.open(name, _FILE, dir_fd=directory))
        facts = os.fstat(opened[-1])
    except FileNotFoundError:
        raise ModelRefused(f"{path} is missing") from None
    except NotADirectoryError:
        raise ModelRefused(f"{path}: not every folder on the way is a plain directory") from None
    except OSError as error:
        raise ModelRefused(f"{path} cannot be read: {error.strerror}") from error
    _check_plain(facts, path)  # it may have been exchanged in between
    return facts


def _check_plain(facts: os.stat_result, path: str) -> None:
    if not stat.S_ISREG(facts.st_mode):
        kind = next((words for test, words in _KINDS if test(facts.st_mode)), "something else")
        raise ModelRefused(f"{path} is {kind}, expected a regular file")
    if facts.st_nlink > 1:
        raise ModelRefused(f"{path} is a hard link: the same file has another name elsewhere")


def _list(
    directory: int, prefix: str, found: list[FileFact], reasons: list[str], depth: int
) -> None:
    if depth > _MAX_DEPTH:
        raise ModelRefused(f"{prefix}: directories are nested deeper than {_MAX_DEPTH}")
    with os.scandir(directory) as entries:
        for one in entries:
            path = prefix + one.name
            facts = one.stat(follow_symlinks=False)
            if stat.S_ISDIR(facts.st_mode):
                inner = os.open(one.name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
                try:
                    _list(inner, path + "/", found, reasons, depth + 1)
                finally:
                    os.close(inner)
                continue
            try:
                check_relative(path)
                _check_plain(facts, path)
            except ModelRefused as refusal:
                reasons.extend(refusal.reasons)
            found.append(FileFact(path, facts.st_size, facts.st_ctime_ns))
            if len(found) > _MAX_FILES:
                raise ModelRefused(f"there are more than {_MAX_FILES} files")
