"""The end of a process, in words."""

from __future__ import annotations

import signal
import sys
from typing import Final

#: How native code ends a process that it runs in. People and systems end one by other signals.
NATIVE_CRASHES: Final = frozenset(
    (
        signal.SIGSEGV,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGABRT,
        signal.SIGTRAP,
        signal.SIGSYS,
    )
)


def describe_exit(code: int) -> str:
    """The end of a process in words, from its exit code as `subprocess` has it.

    Any code has a description: real-time signals and signals of other platforms, too.
    """
    return f"ended with status {code}" if code >= 0 else f"was killed by {_signal_name(-code)}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # Python names only the first and the last real-time signal
        pass
    if sys.platform == "linux" and signal.SIGRTMIN < number < signal.SIGRTMAX:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"
    return f"signal {number}"
