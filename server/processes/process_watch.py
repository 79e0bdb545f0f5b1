"""Figures of another process from the kernel: its wait for a processor, its memory."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_NANOSECOND: Final = 1e-9


def waited_seconds(pid: int) -> float:
    """Seconds that its threads waited for a processor, together; 0 where Linux does not count."""
    total = 0
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError, IndexError, ValueError):
                total += int((task / "schedstat").read_text().split()[1])
    return total * _NANOSECOND


def main_thread_waited_seconds(pid: int) -> float:
    """Seconds that its main thread waited for a processor; 0 where Linux does not count."""
    with suppress(OSError, IndexError, ValueError):
        # The main thread has the process's id.
        return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[1]) * _NANOSECOND
    return 0.0


def is_stopped(pid: int) -> bool:
    """True if a signal or a debugger has stopped the process."""
    return process_letter(pid) in {"T", "t"}


def process_letter(pid: int) -> str:
    """The state of its main thread, one letter as proc(5) has it; ``?`` if it is gone."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return "?"


def oom_kills() -> int:
    """The number of processes that the kernel has ended for memory so far."""
    with suppress(OSError, IndexError, ValueError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def resident_bytes(pid: int) -> int:
    """Its resident memory; 0 if it is gone."""
    with suppress(OSError, IndexError, ValueError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    return 0
