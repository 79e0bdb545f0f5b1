"""Figures of a process from the operating system."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

# Fields of proc(5) stat after the command name, which may itself hold spaces and parentheses.
_USER_TICKS, _SYSTEM_TICKS, _RESIDENT_PAGES = 11, 12, 21


@dataclass(frozen=True, slots=True)
class ProcessStats:
    """One reading of ``/proc/<pid>``."""

    cpu_seconds: float
    resident_bytes: int
    open_descriptors: int


def read_process(pid: int, proc: Path = Path("/proc")) -> ProcessStats | None:
    """The figures of a process, or ``None`` when it is gone or not ours to look at."""
    directory = proc / str(pid)
    try:
        fields = (directory / "stat").read_text().rpartition(")")[2].split()
        descriptors = sum(1 for _ in (directory / "fd").iterdir())
    except OSError:
        return None
    ticks = int(fields[_USER_TICKS]) + int(fields[_SYSTEM_TICKS])
    return ProcessStats(
        cpu_seconds=ticks / os.sysconf("SC_CLK_TCK"),
        resident_bytes=int(fields[_RESIDENT_PAGES]) * os.sysconf("SC_PAGESIZE"),
        open_descriptors=descriptors,
    )
