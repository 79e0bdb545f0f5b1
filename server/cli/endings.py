"""How a command ends that nobody reads, or that is interrupted."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from .exits import Exit

if TYPE_CHECKING:
    from collections.abc import Callable


def ended(run: Callable[[], int]) -> int:
    """Run a command; returns the exit status.

    Args:
        run: The command, which returns its own.

    Raises:
        SystemExit: The command has ended the program.
    """
    try:
        try:
            return run()
        finally:
            sys.stdout.flush()  # here, where an error can still be told from success
    except BrokenPipeError:
        _stop_writing()
        return Exit.PIPE
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # Rich exits so
            return Exit.PIPE
        raise
    except KeyboardInterrupt:
        return Exit.INTERRUPTED


def _stop_writing() -> None:
    """Nobody reads on, as with ``| head``: what is left in the buffer must not fail at the exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # no real file, as in tests
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
