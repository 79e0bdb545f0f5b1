"""Where the links of a registry may end: in the registry, or in a directory that the owner allowed.

A link is judged by what it opened, never by its text: the file is opened without acting on it
(``O_PATH``), the kernel is asked where it is, and the same open file is then read. Nobody can swap
the link between the two. A text would also be wrong for a registry behind ``/proc/PID/root``, which
is a directory of another container.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .refusal import ModelRefused

if TYPE_CHECKING:
    from collections.abc import Iterable

_AS_IT_IS: Final = os.O_PATH | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Root:
    """One directory.

    Attributes:
        place: As the kernel names it.
        mount: Number of its mount, where its name does not lead to it from here: it is in another
            mount namespace, and only what has the same mount is in it.
    """

    place: str
    mount: str = ""

    def holds(self, place: str, descriptor: int) -> bool:
        """Whether an open file or directory is this directory or below it."""
        inside = place == self.place or place.startswith(self.place.rstrip("/") + "/")
        return inside and (not self.mount or _mount_of(descriptor) == self.mount)


@dataclass(frozen=True, slots=True)
class Roots:
    """The directories in which a link may end; see `roots_of`."""

    roots: tuple[Root, ...]

    def check(self, descriptor: int, path: str) -> None:
        """Whether what is open lies in one of them.

        Args:
            descriptor: Descriptor of what a link led to.
            path: Names the link in errors.

        Raises:
            ModelRefused: It does not.
        """
        try:
            place = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        except OSError as error:
            raise ModelRefused(
                f"{path} is a symbolic link, and without /proc nobody can tell where it ends: "
                f"{error.strerror}"
            ) from error
        if not any(root.holds(place, descriptor) for root in self.roots):
            raise ModelRefused(
                f"{path} is a symbolic link that leads out of the registry, to {place}; "
                "the option allowed_roots names directories in which links may end"
            )

    def check_directory(self, path: Path) -> None:
        """`check` of a directory that is named through a link.

        Raises:
            ModelRefused: It lies elsewhere.
            OSError: It cannot be opened.
        """
        descriptor = os.open(path, _AS_IT_IS | os.O_DIRECTORY)
        try:
            self.check(descriptor, path.name)
        finally:
            os.close(descriptor)


#: Of a directory of the server's own: no link is followed, and a second name does no harm.
OWN: Final = Roots(())


def roots_of(registry: Path, allowed: Iterable[Path] = ()) -> Roots:
    """The registry, and the directories of the option ``allowed_roots`` that are there.

    Raises:
        OSError: The registry is no directory that can be opened.
    """
    found = [_root(registry)]
    for path in allowed:
        with suppress(OSError):  # it may be mounted later
            found.append(_root(path))
    return Roots(tuple(found))


def _root(path: Path) -> Root:
    descriptor = os.open(path, _AS_IT_IS | os.O_DIRECTORY)
    try:
        place = str(path.resolve())
        with suppress(OSError):  # without /proc
            place = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        try:
            here = os.path.samestat(Path(place).stat(), os.fstat(descriptor))
        except OSError:
            here = False
        return Root(place, "" if here else _mount_of(descriptor))
    finally:
        os.close(descriptor)


def _mount_of(descriptor: int) -> str:
    text = Path(f"/proc/self/fdinfo/{descriptor}").read_text()
    return next(line for line in text.splitlines() if line.startswith("mnt_id:"))
