"""A copy of a file of configuration as it was understood last, for a process that starts later."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from .config_file import read_bounded

if TYPE_CHECKING:
    from pathlib import Path


def keep_copy(path: Path, good: Path) -> None:
    """Copy a file, readable for its owner only; where that is not possible there is no new copy.

    Args:
        path: A file that was understood.
        good: Place of the copy.
    """
    draft = good.with_name(f".{good.name}.{os.getpid()}")
    with suppress(OSError):
        content = read_bounded(path)
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.write_bytes(content)
        draft.replace(good)
