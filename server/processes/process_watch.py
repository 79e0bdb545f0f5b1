"""What the kernel knows of another process: how long it waited for a processor, what it takes."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_NANOSECOND: Final = 1e-9


def waited_seconds(pid: int) -> float:
    """How long its threads could have run while others did, together; 0 where nobody counts."""
    total = 0
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError, IndexError, ValueError):
                total += int((task / "schedstat").read_text().split()[1])
    return total * _NANOSECOND


def resident_bytes(pid: int) -> int:
    """Its resident memory; 0 if it is gone."""
    with suppress(OSError, IndexError, ValueError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    return 0
