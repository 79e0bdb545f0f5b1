"""A process that must not outlive its starter."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its starter ends, however that ends.

    A request to stop can be missed: the event loop may stand still in native code, or the process
    may be stopped. SIGKILL from the kernel cannot. On Linux only; elsewhere it does nothing.

    Args:
        parent: Process id of the process that started this one. If another process is the parent
            by now, the starter ended before the kernel was asked, and this process ends at once.
    """
    if sys.platform != "linux":
        return
    import ctypes  # the module is imported where nothing else needs it

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
