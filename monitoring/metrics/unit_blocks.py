"""Further blocks of versions: runs by their rows, and the units and segments of rollouts."""

from __future__ import annotations

import json
import mmap
import os
from typing import TYPE_CHECKING, Final

from . import layout

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Last label of a block with the units that fail most.
UNITS: Final = "units"
#: The same of the blocks with the counts of segments.
SEGMENTS: Final = "segments"
#: The same of the blocks with the runs by their rows.
RUNS: Final = "runs"
#: The file with the units that failed before; all processes map it.
UNIT_MEMORY: Final = "units.seen"


class UnitBlocks:
    """Blocks of the counter file for each version, and one memory for all processes.

    Args:
        new_block: Makes a block of a counter file from its label; ``OSError`` if there is no room.
        directory: Directory of the counter files; ``None`` for a server that is one process.
    """

    def __init__(self, new_block: Callable[[bytes], memoryview], directory: Path | None) -> None:
        self._new_block = new_block
        self._directory = directory
        self._blocks: dict[tuple[str, ...], memoryview] = {}
        self._memory: memoryview | None = None

    def block(self, model: str, version: str) -> memoryview:
        """`layout.UNIT_SLOTS` int64 of a version; the same ones in its next rollout.

        Where blocks run out they are in no file, and no other process sees them.
        """
        return self._block(model, version, "", UNITS)

    def segments(self, model: str, version: str, number: int) -> list[memoryview]:
        """So many blocks for the counts of segments; the same ones in its next rollout."""
        return [self._block(model, version, str(one), SEGMENTS) for one in range(number)]

    def runs(self, model: str, version: str, number: int) -> memoryview:
        """A block with the runs of a version by their rows, see `layout.ROWS_PER_BLOCK`."""
        return self._block(model, version, str(number), RUNS)

    def _block(self, *label: str) -> memoryview:
        known = self._blocks.get(label)
        if known is None:
            try:
                known = self._new_block(json.dumps(label).encode())
            except OSError:
                known = memoryview(bytearray(8 * layout.UNIT_SLOTS)).cast("q")
            self._blocks[label] = known
        return known

    def memory(self) -> memoryview:
        """`layout.UNIT_MEMORY_BYTES` bytes that all processes of the directory share.

        Where its disk is full, or without a directory, they are this process's own.
        """
        if self._memory is None:
            self._memory = self._shared()
        return self._memory

    def _shared(self) -> memoryview:
        size = layout.UNIT_MEMORY_BYTES
        if self._directory is None:
            return memoryview(bytearray(size))
        fd = os.open(self._directory / UNIT_MEMORY, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, size)
            return memoryview(mmap.mmap(fd, size))
        except OSError:
            return memoryview(bytearray(size))
        finally:
            os.close(fd)
