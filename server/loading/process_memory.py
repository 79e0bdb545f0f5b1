"""The memory that this process holds, and giving freed memory back."""

from __future__ import annotations

import ctypes
import gc
import os
from contextlib import suppress
from functools import cache
from typing import Final

from penstock.monitoring.metrics.process_stats import read_process

#: Fields of glibc's ``struct mallinfo2``: bytes mapped on their own, and bytes in use on heaps.
_MAPPED: Final = "hblkhd"
_IN_USE: Final = "uordblks"


class _MallInfo(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", _MAPPED),
            *("usmblks", "fsmblks", _IN_USE, "fordblks", "keepcost"),
        )
    ]


class Growth:
    """By how much this process grows from now on.

    The resident set alone does not say what a model takes that is put where another one was: that
    memory was resident already. What is allocated alone does not count mapped files.
    """

    def __init__(self) -> None:
        self._resident = _resident_bytes()
        self._allocated = _allocated_bytes()

    def bytes(self) -> int:
        """So far; 0 where the system does not say."""
        resident = _resident_bytes() - self._resident
        return max(0, resident, _allocated_bytes() - self._allocated)


def trim_memory() -> None:
    """Give freed memory back to the system, which glibc does by itself only at the end of heaps.

    What loading left behind in cycles is freed first: workers collect seldom by themselves.
    """
    gc.collect()
    with suppress(OSError, AttributeError):
        _libc().malloc_trim(0)


def _resident_bytes() -> int:
    stats = read_process(os.getpid())
    return 0 if stats is None else stats.resident_bytes


def _allocated_bytes() -> int:
    """By malloc; 0 where it is not glibc's."""
    try:
        info = _libc().mallinfo2()
    except (OSError, AttributeError):
        return 0
    return int(getattr(info, _MAPPED)) + int(getattr(info, _IN_USE))


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None)
    with suppress(AttributeError):
        libc.mallinfo2.restype = _MallInfo
    return libc
