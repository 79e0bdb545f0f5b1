"""Ends the connections of a port, so that their clients know that they may try again."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)
_DESCRIPTORS: Final = Path("/proc/self/fd")


def disconnect(port: int) -> None:
    """Say on each connection of this process whose own end is a port that no more comes.

    A server of gRPC that is stopped cancels the calls that come before its clients have heard of
    it, and ``CANCELLED`` does not tell a client that it may try again. A connection that ends does:
    all its calls are ``UNAVAILABLE``. gRPC has no such command, and does not hand its sockets out.

    Args:
        port: Of TCP; what is not sent yet is sent.
    """
    for entry in _DESCRIPTORS.iterdir():
        with suppress(OSError), _copy(int(entry.name)) as one:
            if one.family in _FAMILIES and one.getsockname()[1] == port:
                one.getpeername()  # one that listens has none; gRPC would complain of its end
                one.shutdown(socket.SHUT_WR)


def _copy(descriptor: int) -> socket.socket:
    """The socket of a descriptor, which another thread may close meanwhile.

    Raises:
        OSError: It is none.
    """
    copy = os.dup(descriptor)
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise
