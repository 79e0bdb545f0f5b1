"""Private copies of versions: the checked files are the loaded files.

Between a check in the registry and a load from it, another program could exchange a file. So a
version is hashed while it is copied to a directory of the server's own, inspected there, and loaded
from there. Copies are kept by digest, least recently used first to go.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from penstock.monitoring.files.atomic_file import sync
from penstock.server.files.durable import copy_synced, locked, remove_tree
from penstock.server.files.refusal import ModelRefused
from penstock.server.files.safe_files import open_directory, open_file

from .manifest import FileEntry, Manifest, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from penstock.server.files.roots import Roots

_LOCK: Final = ".lock"
_DRAFT_PREFIX: Final = ".copy-"
#: A digest; a copy that replaces a damaged one has a number, too.
_NAME: Final = re.compile(r"([0-9a-f]{64})(\.[0-9]{1,9})?")


class NoRoom(OSError):
    """The copies that must stay leave no room for one more: later there may be some."""


class CacheSizeMemo:
    """The total size of the copies in one cache, so that they are not measured for each new copy.

    It holds as long as nobody else adds or removes a copy, which changes the time of the directory.
    """

    __slots__ = ("_changed_ns", "_total")

    def __init__(self) -> None:
        self._total = 0
        self._changed_ns = -1

    def read(self, cache: Path) -> int | None:
        """Bytes; ``None`` if they have to be measured."""
        return self._total if cache.stat().st_mtime_ns == self._changed_ns else None

    def write(self, cache: Path, total: int) -> None:
        """Set the total size."""
        self._total, self._changed_ns = total, cache.stat().st_mtime_ns


def private_copy(
    directory: Path,
    cache: Path,
    files: Manifest | tuple[FileEntry, ...],
    *,
    max_bytes: int,
    keep: Collection[str] = frozenset(),
    progress: Callable[[int], None] | None = None,
    size_memo: CacheSizeMemo | None = None,
    roots: Roots | None = None,
    name: str = "",
) -> Path:
    """Copy a version, or find the copy made before.

    Args:
        directory: Directory of the version in the registry.
        cache: Cache that only the server uses; made with mode 0700.
        files: Its manifest, or its files as `hash_files` found them.
        max_bytes: Of all copies together.
        keep: Digests of copies that must stay: what the server serves or is about to.
        progress: Called with the number of bytes copied since the last call.
        size_memo: Of this cache, for who makes many copies.
        roots: Directories in which links in the version may end; the copy has their targets.
        name: Name of the copy, from `replacement_name`; its digest by default.

    Returns:
        A read-only directory with exactly these files.

    Raises:
        ModelRefused: A file differs from the listed one.
        NoRoom: The copies to keep leave no room.
        OSError: The disk, or others can write to the cache.
    """
    entries = files.files if isinstance(files, Manifest) else files
    cache.mkdir(mode=0o700, exist_ok=True)
    _check_private(cache)
    with locked(cache / _LOCK):
        size_memo = size_memo or CacheSizeMemo()
        order = _Order(directory, cache, entries, max_bytes, keep, progress, roots, name)
        return _find_or_copy(order, size_memo)


@contextmanager
def borrowed_copy(
    directory: Path,
    cache: Path,
    files: tuple[FileEntry, ...],
    *,
    max_bytes: int,
    roots: Roots | None = None,
) -> Iterator[Path]:
    """`private_copy`, which no process removes to make room while it is borrowed."""
    cache.mkdir(mode=0o700, exist_ok=True)
    _check_private(cache)
    with ExitStack() as borrowed:
        with locked(cache / _LOCK):
            order = _Order(directory, cache, files, max_bytes, roots=roots)
            copy = _find_or_copy(order, CacheSizeMemo())
            borrowed.enter_context(locked(copy, shared=True))
        yield copy


def digest_of_copy(path: Path) -> str | None:
    """The digest that a private copy was made for; ``None`` if the directory is none."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    try:
        _check_private(path.parent)
    except OSError:
        return None
    return f"sha256:{match[1]}"


def replacement_name(damaged: str) -> str:
    """The name of a copy in place of a damaged one: another, so that a load from it is news."""
    digest, _, number = damaged.partition(".")
    return f"{digest}.{int(number or 0) + 1}"


@dataclass(frozen=True, slots=True)
class _Order:
    """What to copy; see `private_copy`."""

    directory: Path
    cache: Path
    entries: tuple[FileEntry, ...]
    max_bytes: int
    keep: Collection[str] = frozenset()
    progress: Callable[[int], None] | None = None
    roots: Roots | None = None
    name: str = ""


def _find_or_copy(order: _Order, size_memo: CacheSizeMemo) -> Path:
    """With the lock held."""
    cache = order.cache
    target = cache / (order.name or digest_of(order.entries).removeprefix("sha256:"))
    if target.is_dir():
        os.utime(target)
        return target
    size = sum(entry.size for entry in order.entries)
    total = size_memo.read(cache)
    if total is None or total + size > order.max_bytes:
        total = _make_room(cache, order.max_bytes - size, order.keep)
    draft = cache / f"{_DRAFT_PREFIX}{secrets.token_hex(8)}"
    try:
        _copy_all(order, draft)
        draft.rename(target)
    except BaseException:
        remove_tree(draft)
        raise
    sync(cache)
    size_memo.write(cache, total + size)
    return target


def _copy_all(order: _Order, draft: Path) -> None:
    draft.mkdir(mode=0o700)
    with open_directory(order.directory, order.roots) as root:
        for entry in order.entries:
            path = draft / entry.path
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open_file(root, entry.path) as (descriptor, _):
                sha256 = copy_synced(descriptor, path, entry.size, order.progress)
            if sha256 != entry.sha256:
                raise ModelRefused(
                    f"{entry.path} is not the file that was published: its SHA-256 differs"
                )
    for folder, _, _ in os.walk(draft):
        os.chmod(folder, 0o500)  # noqa: PTH101  a text from os.walk
    draft.chmod(0o700)  # the rename needs it
    sync(draft)


def _make_room(cache: Path, limit: int, keep: Collection[str]) -> int:
    """Remove copies, least recently used first, until all of them take no more than the limit.

    Returns:
        What the others take, in bytes.
    """
    kept = {digest.removeprefix("sha256:") for digest in keep}  # digests, or names of copies
    sizes: dict[Path, int] = {}
    for path in cache.iterdir():
        if path.name.startswith(_DRAFT_PREFIX):
            remove_tree(path)  # of a process that is gone: the lock is ours
        elif path.is_dir():
            sizes[path] = _size(path)
    total = sum(sizes.values())
    for path in sorted(sizes, key=lambda one: one.stat().st_mtime_ns):
        if total <= limit:
            break
        if path.name not in kept and _remove_unused(path):
            total -= sizes[path]
    if total > limit:
        raise NoRoom(
            f"no room for a private copy: {total} bytes are in use and cannot go, "
            f"{max(limit, 0)} are left for them beside this version"
        )
    return total


def _remove_unused(path: Path) -> bool:
    try:
        with locked(path, wait=False):
            remove_tree(path)
    except BlockingIOError:
        return False
    return True


def _size(path: Path) -> int:
    return sum(
        os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118  texts from os.walk
        for folder, _, names in os.walk(path)
        for name in names
    )


def _check_private(cache: Path) -> None:
    facts = cache.lstat()
    if not stat.S_ISDIR(facts.st_mode):
        raise NotADirectoryError(f"{cache} is not a directory")
    if facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
        raise PermissionError(f"others can change what is in {cache}; expected mode 0700, owned")
