"""``python -m penstock.server.isolation.child TARGET FD PARENT MEMORY CPU FILES``: a child process.

It limits itself, and then hands the connection to the function that `TARGET` names as
``module:function``. The parent may kill it at any time.

It may run by the interpreter of a model's own virtual environment, where Penstock is not installed:
this module and those it imports take the standard library only.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Final

from penstock.server.processes.parent import die_with_parent

from .link import Link, LinkEnded

#: The kernel ends a process with this score first when memory runs out.
_OOM_SCORE: Final = "1000"


def main(arguments: list[str]) -> None:
    """Do what the parent says until the connection ends."""
    target, *numbers = arguments
    descriptor, parent, memory_bytes, cpu_seconds, open_files = map(int, numbers)
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The supervisor blocks it in what it starts.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))
    _sacrifice()
    _limit(resource.RLIMIT_DATA, memory_bytes)
    _limit(resource.RLIMIT_CPU, cpu_seconds)
    _limit(resource.RLIMIT_NOFILE, open_files)
    module, _, function = target.partition(":")
    link = Link(socket.socket(fileno=descriptor), takes_files=True)
    try:
        with suppress(LinkEnded):
            getattr(import_module(module), function)(link)
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(0)  # threads that the work has left behind are nobody's concern


def _sacrifice() -> None:
    """Go first when memory runs out, and leave no file of it all."""
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)


def _limit(kind: int, most: int) -> None:
    if not most:
        return
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    with suppress(OSError, ValueError):
        resource.setrlimit(kind, (most, hard))


if __name__ == "__main__":
    main(sys.argv[1:])
