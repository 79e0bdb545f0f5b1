"""Finds the processes that a process has started, in any generation, by a mark; and ends them.

The kernel ends the process of a model with the process that started it. What the model has started
is not ended with it: it may have a session of its own, and its parent is gone. But a process
inherits the environment of its starter, and the process of a model has a mark in there. Only a
process that was started with another environment is not found. On Linux only; elsewhere no process
is found.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The variable that holds the mark.
MARK: Final = "_PENSTOCK_OWNER"
#: A process may start another one while it is looked for.
_MOST_LOOKS: Final = 10
_START_TIME: Final = 19
_MAX_ENVIRONMENT_BYTES: Final = 4 << 20


def owner_mark(pid: int) -> str:
    """The mark of a process: its id, and when it was started. No other process ever has it."""
    with suppress(OSError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return f"{pid}-{int(fields[_START_TIME])}"
    return str(pid)


def end_marked(mark: str) -> int:
    """Kill all processes with a mark, or with one that goes on with a slash behind it.

    Returns:
        How many were found.
    """
    wanted = f"\0{MARK}={mark}".encode()
    ended: set[int] = set()
    for _ in range(_MOST_LOOKS):
        found = [pid for pid in _processes() if _has(pid, wanted) and _end(pid, wanted)]
        if not found:
            break
        ended.update(found)
    return len(ended)


def _processes() -> Iterator[int]:
    with suppress(OSError):
        for place in Path("/proc").iterdir():
            if place.name.isdecimal() and int(place.name) != os.getpid():
                yield int(place.name)


def _has(pid: int, wanted: bytes) -> bool:
    """Whether a process was started with a mark; one that has ended was not."""
    try:
        with Path(f"/proc/{pid}/environ").open("rb") as file:
            content = b"\0" + file.read(_MAX_ENVIRONMENT_BYTES)
    except OSError:  # gone, or of another user
        return False
    at = content.find(wanted)
    return at >= 0 and content[at + len(wanted) : at + len(wanted) + 1] in {b"", b"\0", b"/"}


def _end(pid: int, wanted: bytes) -> bool:
    """Kill a process if it is still the one with the mark."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if not _has(pid, wanted):  # the id belongs to another process by now
            return False
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
