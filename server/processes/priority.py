"""Threads and processes for work that must not delay predictions on the same processors."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

#: The lowest but idle: a thread that is preempted with the interpreter lock in its hands must get
#: on soon enough. At 10 such a thread still took a tenth of a processor that predictions wanted,
#: and swaps under load cost 1.4 to 1.8 times the 99th percentile.
NICENESS: Final = 19


def lower_priority() -> None:
    """Let the calling thread run when nobody else wants to; on Linux, where threads can."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def run_when_idle() -> None:
    """From now on let this process run only when nobody else wants to, with all its threads.

    A low priority alone is not enough: Linux lets a running process finish a slice of some
    milliseconds. A process does this after it has loaded what it needs: on a busy machine it would
    never end. Without the right to raise a priority, there is no way back.
    """
    if not hasattr(os, "SCHED_IDLE"):  # not Linux
        return
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            os.sched_setscheduler(int(task.name), os.SCHED_IDLE, os.sched_param(0))
