"""Threads for work that must not delay predictions on the same processors."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
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
