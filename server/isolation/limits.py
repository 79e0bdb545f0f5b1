"""The limits of a process that may crash or hang, and why it ended. Pure."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from penstock.server.processes.exits import NATIVE_CRASHES


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """What a process may take; 0 sets no limit.

    Attributes:
        memory_bytes: Private memory; an allocation beyond it fails.
        cpu_seconds: Processor time over its whole life; then the kernel ends the process.
        open_files: Open files, sockets and pipes together.
    """

    memory_bytes: int = 0
    cpu_seconds: int = 0
    open_files: int = 0


@dataclass(frozen=True, slots=True)
class Death:
    """The end of a process that nobody asked for.

    Attributes:
        reason: ``crash``, ``hang`` or ``memory``.
        detail: For people, after the name of the process.
        blamed: Whether what ran in the process is at fault, and not who stopped or killed it.
    """

    reason: str
    detail: str
    blamed: bool = True


def is_own_end(code: int, *, starved: bool) -> bool:
    """Whether a process ended by what it did, and not because somebody ended it.

    Args:
        code: Exit code, as `subprocess` has it.
        starved: Whether the kernel ended processes for memory meanwhile.
    """
    return code >= 0 or -code in NATIVE_CRASHES or (code == -signal.SIGKILL and starved)
