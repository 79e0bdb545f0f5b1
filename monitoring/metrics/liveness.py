"""Tells running processes: a running process holds the lock on its counter file."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from .metrics import SUFFIX

if TYPE_CHECKING:
    from pathlib import Path


def holds_counters(directory: Path, incarnation: str) -> bool:
    """True if a process runs.

    Args:
        directory: Directory of the counter files.
        incarnation: Incarnation of the process.
    """
    try:
        fd = os.open(directory / f"{incarnation}{SUFFIX}", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False  # dead, and folded
    try:
        return not is_unlocked(fd)
    finally:
        os.close(fd)


def is_unlocked(fd: int) -> bool:
    """True if no process holds a lock on an open file; this one holds a shared lock then."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
