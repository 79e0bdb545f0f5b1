"""The spool: files in memory with frames of samples, which outlive worker and monitor.

A worker appends numbered frames to segments, ``<incarnation>@<number of the first frame>``; the
monitor reads them when it has time, and removes a segment once all of it is in the prediction log.
So a monitor that is killed finds all frames when it restarts, a killed worker leaves its written
frames behind, and neither waits for the other. The size is bounded: a frame without room is not
written, and the worker counts its rows.

A frame consists of its length, its number and its content.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: Length of the content, and the frame's number.
HEADER: Final = struct.Struct("<IQ")
SEPARATOR: Final = "@"
#: A new segment begins when the last one has this size, or is this old.
SEGMENT_BYTES: Final = 1 << 20
SEGMENT_SECONDS: Final = 1.0
#: Bytes left free for other files, above all for counters, which must not run out of memory.
RESERVED_BYTES: Final = 16 << 20
#: While there is no room, the directory is listed so often: frames come hundreds of times a second.
LIST_SECONDS: Final = 0.1


class Spool:
    """Writes the segments of one worker. For one thread.

    Args:
        directory: Directory of all segments of all workers; in memory.
        incarnation: Name of the worker's incarnation.
        max_bytes: Most bytes of its segments together.
    """

    def __init__(self, directory: Path, incarnation: str, max_bytes: int) -> None:
        self._directory = directory
        self._incarnation = incarnation
        self._max_bytes = max_bytes
        self._number = 0
        self._descriptor: int | None = None
        self._path: Path | None = None
        self._size = 0
        self._begun_at = 0.0
        self._complete: dict[Path, int] = {}
        self._complete_bytes = 0
        self._listed_at = float("-inf")

    def append(self, parts: Sequence[bytes], now: float) -> bool:
        """Add one frame; ``False`` if there is no room for it, or the memory is full.

        Args:
            parts: The bytes of the frame, in pieces.
            now: Monotonic seconds.
        """
        size = HEADER.size + sum(map(len, parts))
        old = self._size >= SEGMENT_BYTES or now - self._begun_at >= SEGMENT_SECONDS
        if self._descriptor is not None and old:
            self._finish()
        if self._size + self._complete_bytes + size > self._max_bytes:
            if now - self._listed_at < LIST_SECONDS:
                return False
            self._forget_removed(now)
            if self._size + self._complete_bytes + size > self._max_bytes:
                return False
        try:
            if self._descriptor is None:
                self._begin(now)
            assert self._descriptor is not None
            header = HEADER.pack(size - HEADER.size, self._number + 1)
            written = os.writev(self._descriptor, [header, *parts])
            if written < size:
                os.ftruncate(self._descriptor, self._size)
                return False
        except OSError:
            return False
        self._number += 1
        self._size += size
        return True

    def close(self) -> None:
        """End the last segment; the monitor removes the segments."""
        if self._descriptor is not None:
            self._finish()

    def _begin(self, now: float) -> None:
        self._forget_removed(now)
        free = os.statvfs(self._directory)
        if free.f_bavail * free.f_frsize < SEGMENT_BYTES + RESERVED_BYTES:
            raise OSError("the memory is nearly full")
        name = f"{self._incarnation}{SEPARATOR}{self._number + 1:012d}"
        self._path = self._directory / name
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, 0o600)
        self._size, self._begun_at = 0, now

    def _finish(self) -> None:
        assert self._descriptor is not None
        assert self._path is not None
        os.close(self._descriptor)
        self._complete[self._path] = self._size
        self._complete_bytes += self._size
        self._descriptor, self._size = None, 0

    def _forget_removed(self, now: float) -> None:
        """Subtract the sizes of segments that the monitor has removed."""
        self._listed_at = now
        try:
            there = {path.name for path in self._directory.iterdir()}
        except OSError:
            return
        self._complete = {path: size for path, size in self._complete.items() if path.name in there}
        self._complete_bytes = sum(self._complete.values())
