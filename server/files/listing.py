"""The files of a version directory, as they are at one moment."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .refusal import ModelRefused
from .safe_files import DIRECTORY, check_plain, check_relative, followed

if TYPE_CHECKING:
    from .safe_files import Folder

_MAX_DEPTH: Final = 8
_MAX_FILES: Final = 10_000
_MAX_REASONS: Final = 20
_MODEL_FILE: Final = ".onnx"


@dataclass(frozen=True, slots=True)
class FileFact:
    """One regular file.

    Attributes:
        path: Relative to the version directory, with ``/``.
        size: In bytes.
        changed_ns: Time of the last change of its content or name, in nanoseconds since 1970. A
            copy that keeps times of modification does not keep this one.
    """

    path: str
    size: int
    changed_ns: int


def list_files(folder: Folder) -> list[FileFact]:
    """Every file of a version, in alphabetical order of the paths.

    Names that begin with two dots are Kubernetes' own: what they hold is reached by links beside
    them.

    Raises:
        ModelRefused: There is something else than files and directories, or too much.
        OSError: It cannot be read now.
    """
    listing = _Listing(folder)
    listing.add(folder.descriptor, "", ())
    if listing.reasons:
        raise ModelRefused(*listing.reasons)
    listing.check_names()
    return sorted(listing.found, key=lambda fact: fact.path)


class _Listing:
    """What was found below one directory so far."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self.found: list[FileFact] = []
        self.reasons: list[str] = []
        self._several: list[str] = []

    def add(self, directory: int, prefix: str, above: tuple[tuple[int, int], ...]) -> None:
        """Take in a directory; `above` are device and inode of those it is in."""
        here = os.fstat(directory)
        if (here.st_dev, here.st_ino) in above:
            self.reasons.append(
                f"{prefix.rstrip('/')} is a symbolic link that leads back to itself"
            )
            return
        if len(above) > _MAX_DEPTH:
            raise ModelRefused(f"{prefix}: directories are nested deeper than {_MAX_DEPTH}")
        above = (*above, (here.st_dev, here.st_ino))
        with os.scandir(directory) as entries:
            for one in entries:
                if self._folder.roots is not None and one.name.startswith(".."):
                    continue
                try:
                    self._add_entry(one, directory, prefix + one.name, above)
                except FileNotFoundError:
                    continue  # it went away while we looked
                except ModelRefused as refusal:
                    if len(self.reasons) > _MAX_REASONS:
                        raise
                    self.reasons.extend(refusal.reasons)

    def _add_entry(
        self, one: os.DirEntry[str], directory: int, path: str, above: tuple[tuple[int, int], ...]
    ) -> None:
        roots = self._folder.roots
        facts = one.stat(follow_symlinks=False)
        changed = facts.st_ctime_ns
        if stat.S_ISDIR(facts.st_mode):
            inner = os.open(one.name, DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
            self._add_inner(inner, path, above)
            return
        check_relative(path)
        if stat.S_ISLNK(facts.st_mode) and roots is not None:
            target = followed(one.name, directory, roots, path)
            try:
                facts = os.fstat(target)
                if stat.S_ISDIR(facts.st_mode):
                    inner = os.open(f"/proc/self/fd/{target}", DIRECTORY)
                    self._add_inner(inner, path, above)
                    return
            finally:
                os.close(target)
            changed = max(changed, facts.st_ctime_ns)
        check_plain(facts, path, self._folder)
        if facts.st_nlink > 1:
            self._several.append(path)
        self.found.append(FileFact(path, facts.st_size, changed))
        if len(self.found) > _MAX_FILES:
            raise ModelRefused(f"there are more than {_MAX_FILES} files")

    def _add_inner(self, inner: int, path: str, above: tuple[tuple[int, int], ...]) -> None:
        try:
            self.add(inner, path + "/", above)
        finally:
            os.close(inner)

    def check_names(self) -> None:
        """A backup by hard links gives every file a second name, the model file, too.

        Where only a file beside the model has one, it may be that of a secret which the model
        would carry off.

        Raises:
            ModelRefused: That is so.
        """
        models = [one.path for one in self.found if one.path.endswith(_MODEL_FILE)]
        alone = models and not any(path in self._several for path in models)
        if self._several and alone:
            raise ModelRefused(
                f"{self._several[0]} is a hard link: the same file has another name elsewhere, and "
                f"{models[0]} has none; copy it, so that it has one name only"
            )
