"""The memory that this process may still take: of the machine, and of its control group."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def available_bytes(root: Path = Path("/")) -> int:
    """The bytes that can be allocated before others suffer; 0 where the system does not say.

    Args:
        root: Directory of ``proc`` and ``sys/fs/cgroup``.
    """
    found = []
    with suppress(OSError, ValueError, IndexError):
        lines = (root / "proc/meminfo").read_text().splitlines()
        kibibytes = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
        found += [one << 10 for one in kibibytes]
    group = root / "sys/fs/cgroup"
    with suppress(OSError, ValueError):
        limit = int((group / "memory.max").read_text())  # "max" is no number
        found.append(limit - int((group / "memory.current").read_text()))
    return max(0, min(found, default=0))
