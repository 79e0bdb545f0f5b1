"""A copy of a file of configuration as it was understood last, for a process that starts later."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from .atomic_file import replace_file
from .config_file import read_bounded

if TYPE_CHECKING:
    from pathlib import Path


def keep_copy(path: Path, good: Path) -> None:
    """Copy a file, readable for its owner only; where that is not possible there is no new copy.

    Args:
        path: A file that was understood.
        good: Place of the copy.
    """
    with suppress(OSError):
        replace_file(good, read_bounded(path), 0o600)
