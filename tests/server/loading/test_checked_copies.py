"""A copy is checked once for its trial and its load, and again if anything about it is another."""

from __future__ import annotations

import mmap
import os
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest

from penstock.server.loading import checked_copies
from penstock.server.loading.checked_copies import MAX_KEPT, SETTLED_SECONDS, CheckedCopies
from penstock.server.registry.manifest import digest_of
from penstock.server.registry.verification import hash_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def copy(tmp_path: Path, onnx_file: Callable[..., Path]) -> Path:
    """A version of two files."""
    path = tmp_path / "copy" / "model.onnx"
    onnx_file(path, [("Relu", ["x"], ["y"])], [("x", "FLOAT", ["n"])], [("y", "FLOAT", ["n"])])
    (path.parent / "labels.txt").write_text("cat\ndog\n")
    return path.parent


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The directories whose files were read, in order."""
    read: list[Path] = []

    def noted(directory: Path, roots: Any = None) -> Any:
        read.append(directory)
        return hash_files(directory, roots)

    monkeypatch.setattr(checked_copies, "hash_files", noted)
    return read


def digest(copy: Path) -> str:
    return digest_of(hash_files(copy))


def settled() -> int:
    """A clock by which all files are old enough."""
    return time.time_ns() + int(2 * SETTLED_SECONDS * 1e9)


def check(checked: CheckedCopies, copy: Path, wanted: str, *, keep: bool) -> int | None:
    return checked.check(copy, wanted, None, keep=keep)


def test_the_load_after_a_trial_reads_nothing_again(copy: Path, readings: list[Path]) -> None:
    checked, wanted = CheckedCopies(settled), digest(copy)
    size = check(checked, copy, wanted, keep=True)
    assert size
    assert check(checked, copy, wanted, keep=False) == size
    assert readings == [copy]


def test_a_later_load_reads_everything_again(copy: Path, readings: list[Path]) -> None:
    checked, wanted = CheckedCopies(settled), digest(copy)
    for keep in (True, False, False):
        check(checked, copy, wanted, keep=keep)
    assert readings == [copy, copy]


def overwrite(path: Path) -> None:
    """Other content of the same size, with the times that the file had."""
    facts = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def overwrite_mapped(path: Path) -> None:
    facts = path.stat()
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as content:
        content[-1] ^= 1
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def exchange(path: Path) -> None:
    """Another file of the same size, made before the check, takes its name."""
    (path.parent.parent / "prepared").rename(path)


def add(path: Path) -> None:
    (path.parent / "more.txt").write_text("more")


CHANGES: dict[str, Callable[[Path], object]] = {
    "overwritten": overwrite,
    "overwritten through a map": overwrite_mapped,
    "exchanged for an older file": exchange,
    "another beside it": add,
    "removed": os.unlink,
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_after_the_check_is_found(copy: Path, change: str) -> None:
    wanted, path = digest(copy), copy / "labels.txt"
    shutil.copy2(path, copy.parent / "prepared")
    overwrite(copy.parent / "prepared")
    checked = CheckedCopies(settled)
    assert check(checked, copy, wanted, keep=True)
    CHANGES[change](path)
    assert check(checked, copy, wanted, keep=False) is None


def test_files_that_are_too_young_are_read_again(copy: Path, readings: list[Path]) -> None:
    wanted = digest(copy)
    newest = max(path.stat().st_ctime_ns for path in copy.iterdir())
    checked = CheckedCopies(lambda: newest + int(SETTLED_SECONDS * 0.9e9))
    for keep in (True, False):
        assert check(checked, copy, wanted, keep=keep)
    assert readings == [copy, copy]


def test_what_is_kept_is_bounded(copy: Path) -> None:
    checked, wanted = CheckedCopies(settled), digest(copy)
    for number in range(MAX_KEPT + 5):
        other = copy.with_name(f"copy-{number}")
        shutil.copytree(copy, other)
        assert check(checked, other, wanted, keep=True)
    assert len(checked._kept) == MAX_KEPT
