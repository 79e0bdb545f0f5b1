"""A connection between a process and a child of it: numbered messages, and files beside them.

A message is its length, its kind, and its content. Only the parent sends files: a child may run
code of a model, and what it sends is bytes that the parent checks.

This module is used by the child, too: it imports nothing beside the standard library.
"""

from __future__ import annotations

import array
import os
import socket
import struct
from typing import Final

_HEAD: Final = struct.Struct("=IB")
_READ_BYTES: Final = 64 * 1024
_FILE: Final = struct.Struct("i")
#: Largest message: copies of answered batches are the largest ones.
MAX_MESSAGE_BYTES: Final = 256 << 20

Message = tuple[int, bytes]


class LinkEnded(Exception):
    """The other side is gone, or sent what is no message."""


class Link:
    """One end of a connection; one thread at a time uses it.

    Args:
        connection: A Unix stream socket that blocks.
        takes_files: Whether files that come with messages are kept.

    Attributes:
        files: Descriptors that came and were not taken yet, in order.
    """

    def __init__(self, connection: socket.socket, *, takes_files: bool = False) -> None:
        self._socket = connection
        self._takes_files = takes_files
        self._read = bytearray()
        self.files: list[int] = []

    def fileno(self) -> int:
        """Its descriptor, -1 after `close`."""
        return self._socket.fileno()

    def wake_every(self, seconds: float) -> None:
        """Have `send` and `receive` return without an end after so many seconds of waiting."""
        whole = int(seconds)
        value = struct.pack("ll", whole, int((seconds - whole) * 1e6))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)

    def send(self, kind: int, content: bytes = b"", file: int | None = None) -> bytes:
        """Send a message; returns what found no room in time, for `send_rest`.

        Raises:
            LinkEnded: The other side is gone.
        """
        if len(content) > MAX_MESSAGE_BYTES:
            raise ValueError(f"a message of {len(content)} bytes is over {MAX_MESSAGE_BYTES}")
        data = _HEAD.pack(len(content), kind) + content
        if file is None:
            return self.send_rest(data)
        beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file]))]
        try:
            sent = self._socket.sendmsg([data], beside)
        except BlockingIOError:
            raise LinkEnded("the other side reads nothing") from None
        except OSError as error:
            raise LinkEnded(str(error)) from error
        return self.send_rest(data[sent:])

    def send_rest(self, data: bytes) -> bytes:
        """Send bytes of a message; returns those that found no room in time.

        Raises:
            LinkEnded: The other side is gone.
        """
        while data:
            try:
                sent = self._socket.send(data)
            except BlockingIOError:
                return data
            except OSError as error:
                raise LinkEnded(str(error)) from error
            if sent == len(data):
                return b""
            data = data[sent:]
        return b""

    def receive(self) -> Message | None:
        """The next message; ``None`` if none came in time.

        Raises:
            LinkEnded: The other side is gone, or sent what is no message.
        """
        read = self._read
        while True:
            if read and (message := self._first()) is not None:
                return message
            try:
                data = self._more() if self._takes_files else self._socket.recv(_READ_BYTES)
            except BlockingIOError:
                return None
            except OSError as error:
                raise LinkEnded(str(error)) from error
            if not data:
                raise LinkEnded("the connection has ended")
            # Nearly every message comes alone and whole.
            if not read and len(data) >= _HEAD.size:
                size, kind = _HEAD.unpack_from(data)
                if len(data) == _HEAD.size + size:
                    return kind, data[_HEAD.size :]
            read += data

    def expect(self) -> Message:
        """The next message, however long that takes.

        Raises:
            LinkEnded: The other side is gone, or sent what is no message.
        """
        while (message := self.receive()) is None:
            pass
        return message

    def _first(self) -> Message | None:
        """The first whole message of what was read."""
        read = self._read
        if len(read) < _HEAD.size:
            return None
        size, kind = _HEAD.unpack_from(read)
        if size > MAX_MESSAGE_BYTES:
            raise LinkEnded(f"a message of {size} bytes is over {MAX_MESSAGE_BYTES}")
        end = _HEAD.size + size
        if len(read) < end:
            return None
        content = bytes(memoryview(read)[_HEAD.size : end])
        del read[:end]
        return kind, content

    def _more(self) -> bytes:
        data, beside, _, _ = self._socket.recvmsg(_READ_BYTES, socket.CMSG_SPACE(_FILE.size))
        for level, kind, content in beside:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                self.files += [number for (number,) in _FILE.iter_unpack(content)]
        return data

    def close(self) -> None:
        """End the connection."""
        self._socket.close()
        for descriptor in self.files:
            os.close(descriptor)
        self.files.clear()
