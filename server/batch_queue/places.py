"""Inputs and outputs of batch jobs: files below one directory, and never another file.

A path is walked name by name from the open directory, and no link is followed, so that nobody who
may write there can have a file elsewhere read or replaced. What was found is held open, and named
by its descriptor (``/proc/self/fd``) from then on: exchanging a name later changes nothing.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from penstock.server.files.refusal import ModelRefused
from penstock.server.files.safe_files import DIRECTORY, check_relative, open_directory, open_file

if TYPE_CHECKING:
    from collections.abc import Iterator

_FOLDER: Final = DIRECTORY | os.O_NOFOLLOW
_ONLY_OWNER: Final = 0o700


class PlaceRefused(Exception):
    """A path means no file that a batch job may read or write; one line says why."""


def relative(root: Path, path: str) -> str:
    """The path of a file below a directory, in its plain form.

    Args:
        root: The directory.
        path: Relative to it, or absolute and below it.

    Raises:
        PlaceRefused: It may mean a file elsewhere.
    """
    with suppress(ValueError):
        path = str(PurePosixPath(path).relative_to(root.absolute()))
    try:
        check_relative(path)
    except ModelRefused as refusal:
        raise PlaceRefused(
            f"{refusal}; expected a file below batch_root, such as in/rows.csv"
        ) from None
    if PurePosixPath(path).name.startswith("."):
        raise PlaceRefused(f"the path {path!r} names a hidden file, expected another")
    return path


@contextmanager
def source(root: Path, path: str) -> Iterator[Path]:
    """A file to read, held open; gives the name of its descriptor.

    Raises:
        PlaceRefused: There is no such plain file; a link is none.
        OSError: It cannot be read now.
    """
    with _refused(), open_directory(root) as folder, open_file(folder, path) as (descriptor, _):
        yield Path(f"/proc/self/fd/{descriptor}")


@contextmanager
def target(root: Path, path: str) -> Iterator[tuple[int, str]]:
    """The directory of a file to write, held open, and the name of the file in it.

    Raises:
        PlaceRefused: There is no such plain directory, or something else than a file is there.
        OSError: It cannot be reached now.
    """
    with _refused(), open_directory(root) as folder:
        *parts, name = check_relative(path)
        opened: list[int] = []
        try:
            here = folder.descriptor
            for part in parts:
                try:
                    here = os.open(part, _FOLDER, dir_fd=here)
                except OSError as error:
                    if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
                        raise PlaceRefused(
                            f"{path}: {part} is no directory that is there; a link is not followed"
                        ) from None
                    raise
                opened.append(here)
            if exists(here, name) and not stat.S_ISREG(_facts(here, name).st_mode):
                raise PlaceRefused(f"{path} is there, and is no regular file")
            yield here, name
        finally:
            for descriptor in reversed(opened):
                os.close(descriptor)


def exists(folder: int, name: str) -> bool:
    """Whether a directory has a name, a link that leads nowhere included."""
    try:
        _facts(folder, name)
    except FileNotFoundError:
        return False
    return True


@contextmanager
def work_directory(folder: int, name: str) -> Iterator[Path]:
    """The directory of a job's work, which is made if it is not there, held open.

    Args:
        folder: Descriptor of the directory that has it.
        name: Name of the directory of the work.

    Raises:
        PlaceRefused: Somebody else has made it, or a link.
        OSError: It cannot be made.
    """
    with suppress(FileExistsError):
        os.mkdir(name, _ONLY_OWNER, dir_fd=folder)
    descriptor = _opened_work(folder, name)
    try:
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def remove_work(folder: int, name: str) -> None:
    """Remove the directory of a job's work and the files in it; none is no error.

    Raises:
        PlaceRefused: Somebody else has made it, or a link.
        OSError: It cannot be removed.
    """
    try:
        descriptor = _opened_work(folder, name)
    except FileNotFoundError:
        return
    try:
        with os.scandir(descriptor) as found:
            names = [one.name for one in found]
        for one in names:
            os.unlink(one, dir_fd=descriptor)
        os.rmdir(name, dir_fd=folder)
    finally:
        os.close(descriptor)


def _opened_work(folder: int, name: str) -> int:
    try:
        descriptor = os.open(name, _FOLDER, dir_fd=folder)
    except OSError as error:
        if error.errno in {errno.ENOTDIR, errno.ELOOP}:
            raise PlaceRefused(f"{name} is in the way of the job's work; remove it") from None
        raise
    if os.fstat(descriptor).st_uid != os.geteuid():
        os.close(descriptor)
        raise PlaceRefused(f"{name} was made by another user; remove it")
    return descriptor


def _facts(folder: int, name: str) -> os.stat_result:
    return os.stat(name, dir_fd=folder, follow_symlinks=False)


@contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except ModelRefused as refusal:
        raise PlaceRefused(str(refusal)) from None
