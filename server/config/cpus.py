"""How many CPUs this process may really use: affinity and the cgroup's quota, not the machine's.

A container with ``--cpus 2`` on a machine of 64 sees 64 in ``os.cpu_count()``; one execution
thread for each would be throttled most of the time.
"""

from __future__ import annotations

import math
import os
from pathlib import Path, PurePosixPath


def available_cpus(root: Path = Path("/"), affinity: int | None = None) -> int:
    """CPUs that may run at once, at least 1; a fractional quota is rounded up.

    Args:
        root: Directory of ``proc`` and ``sys/fs/cgroup``.
        affinity: CPUs in the affinity mask; by default those of this process.
    """
    if affinity is None:
        affinity = len(os.sched_getaffinity(0))
    quota = cpu_quota(root)
    return max(1, affinity if quota is None else min(affinity, math.ceil(quota)))


def cpu_quota(root: Path = Path("/")) -> float | None:
    """CPUs that the control groups allow, or ``None`` without a limit.

    The group of the process and all groups above it limit it, in version 2 (``cpu.max``) and in
    version 1 (``cpu.cfs_quota_us``).
    """
    mount = root / "sys/fs/cgroup"
    quotas: list[float | None] = []
    for controllers, group in _memberships(root / "proc/self/cgroup"):
        if controllers == "":
            base, read = mount, _quota_v2
        elif "cpu" in controllers.split(","):
            base, read = mount / controllers, _quota_v1
            if not base.is_dir():
                base = mount / "cpu"
        else:
            continue
        # Inside a container the path may be that of the host, and the mount our own group.
        paths = (PurePosixPath(group), *PurePosixPath(group).parents)
        quotas += [read(base / path.relative_to("/")) for path in paths]
    limits = [quota for quota in quotas if quota is not None]
    return min(limits, default=None)


def _memberships(path: Path) -> list[tuple[str, str]]:
    """(controllers, group) of each line; controllers are empty for version 2."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return []
    fields = [line.split(":", 2) for line in lines]
    return [(parts[1], parts[2]) for parts in fields if len(parts) == 3 and parts[2][:1] == "/"]  # noqa: PLR2004  hierarchy:controllers:path


def _quota_v2(group: Path) -> float | None:
    words = _words(group / "cpu.max")
    try:
        return None if words[0] == "max" else int(words[0]) / int(words[1])
    except (IndexError, ValueError, ZeroDivisionError):
        return None


def _quota_v1(group: Path) -> float | None:
    words = _words(group / "cpu.cfs_quota_us") + _words(group / "cpu.cfs_period_us")
    try:
        quota, period = int(words[0]), int(words[1])
    except (IndexError, ValueError):
        return None
    return quota / period if quota > 0 and period > 0 else None


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
