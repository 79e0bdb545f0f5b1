"""Reads the spool in the monitor, and removes segments whose frames are on the disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .spool import HEADER, SEPARATOR

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_PIECE_BYTES: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of the spool.

    Attributes:
        incarnation: Incarnation of the worker.
        number: Number in its incarnation, from 1.
        content: The encoded samples.
    """

    incarnation: str
    number: int
    content: bytes


@dataclass(slots=True)
class _Segment:
    incarnation: str
    first: int
    offset: int = 0
    last: int = 0


class SpoolReader:
    """Reads all segments of all workers. For one thread.

    Args:
        directory: Directory of the segments.
        taken: Returns the number of the last taken frame of an incarnation.
    """

    def __init__(self, directory: Path, taken: Callable[[str], int]) -> None:
        self._directory = directory
        self._taken = taken
        self._segments: dict[Path, _Segment] = {}

    def present(self) -> set[str] | None:
        """Incarnations with segments in the spool; ``None`` if the directory cannot be listed."""
        names = self._names()
        return None if names is None else {incarnation for incarnation, _, _ in names}

    def read(self, max_bytes: int) -> list[Frame]:
        """New frames since the last call, about `max_bytes` of them."""
        self._look()
        frames: list[Frame] = []
        left = max_bytes
        stuck: set[str] = set()
        for path, segment in self._segments.items():
            if segment.incarnation in stuck:
                continue  # frames are taken in order: a later one would hide those before it
            # Whole pieces: a segment that is left in the middle must be the last that is read.
            try:
                while left > 0 and (got := self._read(path, segment, frames)):
                    left -= got
            except OSError:
                stuck.add(segment.incarnation)
        return frames

    def remove_kept(self, is_alive: Callable[[str], bool]) -> None:
        """Remove segments whose frames are all taken and that are not written any more.

        Call it after the taken frames are on the disk.

        Args:
            is_alive: Whether an incarnation may still append to its last segment.
        """
        newest: dict[str, int] = {}
        for segment in self._segments.values():
            newest[segment.incarnation] = max(segment.first, newest.get(segment.incarnation, 0))
        for path, segment in list(self._segments.items()):
            if segment.last > self._taken(segment.incarnation):
                continue
            is_last = segment.first == newest[segment.incarnation]
            if is_last and is_alive(segment.incarnation):
                continue
            if self._whole(path, segment, torn=is_last):
                path.unlink(missing_ok=True)
                del self._segments[path]

    def _look(self) -> None:
        """Find new segments, in the order of reading."""
        names = self._names()
        if names is not None:
            known, self._segments = self._segments, {}
            for incarnation, first, path in names:
                self._segments[path] = known.get(path) or _Segment(incarnation, first)

    def _names(self) -> list[tuple[str, int, Path]] | None:
        """Incarnation, first frame and path of each segment, in order."""
        try:
            names = sorted(path.name for path in self._directory.iterdir())
        except OSError:
            return None
        found = []
        for name in names:
            incarnation, _, first = name.rpartition(SEPARATOR)
            if incarnation and first.isdigit():
                found.append((incarnation, int(first), self._directory / name))
        return found

    def _read(self, path: Path, segment: _Segment, frames: list[Frame]) -> int:
        """Add the complete frames of the next piece; returns the bytes of the piece."""
        with path.open("rb") as file:
            file.seek(segment.offset)
            data = file.read(_PIECE_BYTES)
            if len(data) >= HEADER.size:
                length, _ = HEADER.unpack_from(data)
                if HEADER.size + length > len(data):  # larger than a piece, or not complete yet
                    data += file.read(HEADER.size + length - len(data))
        start = 0
        while start + HEADER.size <= len(data):
            length, number = HEADER.unpack_from(data, start)
            end = start + HEADER.size + length
            if end > len(data):
                break
            segment.last = number
            if number > self._taken(segment.incarnation):
                content = data[start + HEADER.size : end]
                frames.append(Frame(segment.incarnation, number, content))
            start = end
        segment.offset += start
        return start

    @staticmethod
    def _whole(path: Path, segment: _Segment, *, torn: bool) -> bool:
        """Whether all of a segment was read; a killed worker may leave a torn end."""
        try:
            size = path.stat().st_size
        except OSError:
            return True
        if segment.offset == size or not torn:
            return segment.offset == size
        with path.open("rb") as file:
            file.seek(segment.offset)
            rest = file.read(HEADER.size)
        whole = len(rest) == HEADER.size
        return not whole or segment.offset + HEADER.size + HEADER.unpack(rest)[0] > size
