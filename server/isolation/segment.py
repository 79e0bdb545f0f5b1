"""A piece of memory that a process and its child share, through a file without a name.

The file is in memory and in no directory, so it is gone with the last process that has it open,
however that ends. Its size is sealed: a child that cut it short would make the parent crash. Its
pages are reserved when it is made: a write to it cannot fail later for want of memory.

This module is used by the child, too: it imports nothing beside the standard library.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from contextlib import suppress
from typing import Final

#: Of a model's process at its start: enough for 64 rows of some thousand numbers.
FIRST_BYTES: Final = 1 << 20
#: The most that the inputs, or the outputs, of one run may take.
MOST_BYTES: Final = 1 << 30
_PAGE: Final = mmap.PAGESIZE


class Segment:
    """A shared segment. Its memory may be written by the other process at any time.

    Args:
        descriptor: Of the file; the segment closes it.

    Attributes:
        memory: All bytes.
        size: Number of bytes.
        descriptor: Of the file, for sending it.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.size = os.fstat(descriptor).st_size
        self._map = mmap.mmap(descriptor, self.size)
        self.memory = memoryview(self._map)

    @classmethod
    def create(cls, size: int) -> Segment:
        """A segment of at least this size.

        Raises:
            OSError: There is no memory for it.
        """
        size = -(-max(size, FIRST_BYTES) // _PAGE) * _PAGE
        flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
        descriptor = os.memfd_create("penstock-tensors", flags)
        try:
            os.ftruncate(descriptor, size)
            os.posix_fallocate(descriptor, 0, size)
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
            return cls(descriptor)
        except BaseException:
            os.close(descriptor)
            raise

    def close(self) -> None:
        """Give it back, as soon as no array lies in it any more."""
        with suppress(BufferError):
            self.memory.release()
            self._map.close()
        os.close(self.descriptor)
