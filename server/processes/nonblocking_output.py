"""Output of a process with one thread that must never wait for its reader: the supervisor.

A flag on the descriptor itself would hold for every process that shares it, the user's shell too.
So a pipe or terminal is opened a second time, with the flag; a socket takes it with each message.
"""

from __future__ import annotations

import os
import select
import socket
import stat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

#: Written at once; a pipe takes so much as a whole or not at all.
_PIECE_BYTES: Final = 4096
#: Of one message; the rest is cut off.
_MAX_BYTES: Final = 64 * 1024


class NonBlockingOutput:
    """Writes lines to a descriptor while there is room, and counts the others.

    Args:
        descriptor: Open for writing; it stays as it is.

    Attributes:
        dropped: Lines that found no room and have not been told of yet.
    """

    def __init__(self, descriptor: int) -> None:
        self.dropped = 0
        self._write = _writer(descriptor)

    def write_line(self, text: str, told: Callable[[int], str]) -> None:
        """Write a line, or count it.

        Args:
            text: The line, without its end.
            told: Makes the line that says how many were dropped before.
        """
        if self.dropped and self._put(told(self.dropped)):
            self.dropped = 0
        if self.dropped or not self._put(text):
            self.dropped += 1

    def _put(self, text: str) -> bool:
        content = text.encode("utf-8", "backslashreplace")[: _MAX_BYTES - 1] + b"\n"
        try:
            while content:
                content = content[self._write(content[:_PIECE_BYTES]) :]
        except (OSError, ValueError):
            return False  # no room, or the reader is gone
        return True


def _writer(descriptor: int) -> Callable[[bytes], int]:
    """A function that writes some, and raises `OSError` instead of waiting."""
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISSOCK(mode):
        return lambda content: _send(descriptor, content)
    if stat.S_ISREG(mode):
        return lambda content: os.write(descriptor, content)
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        again = os.open(f"/proc/self/fd/{descriptor}", flags)
    except OSError:  # of another user, or not on Linux: as good as it gets
        return lambda content: _write_if_ready(descriptor, content)
    return lambda content: os.write(again, content)


def _send(descriptor: int, content: bytes) -> int:
    with socket.socket(fileno=os.dup(descriptor)) as link:
        return link.send(content, socket.MSG_DONTWAIT)


def _write_if_ready(descriptor: int, content: bytes) -> int:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    if not poll.poll(0):
        raise BlockingIOError
    return os.write(descriptor, content)
