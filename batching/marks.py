"""Marks of the version that each thread runs, which other processes can read after a crash."""

from __future__ import annotations

import threading

#: Slot of the event loop; execution threads have those after it.
LOOP = 0


class RunMarks:
    """A slot for each thread that runs models. A thread writes its own slot only.

    The views may lie in a memory-mapped file: then the running versions are known when the
    process is gone. A run costs three stores, some 0.1 microseconds.

    Attributes:
        running: By slot, the mark of the version that runs now; 0 while none does.
        since: By slot, when that run began, in seconds of the clock of the runs.
        threads: By slot, the identity of its thread.
    """

    __slots__ = ("running", "since", "threads")

    def __init__(
        self, running: memoryview[int], since: memoryview[float], threads: memoryview[int]
    ) -> None:
        self.running = running
        self.since = since
        self.threads = threads

    @classmethod
    def private(cls, slots: int) -> RunMarks:
        """Marks in private memory.

        Args:
            slots: Number of slots.
        """
        running, since, threads = (memoryview(bytearray(8 * slots)) for _ in range(3))
        return cls(running.cast("q"), since.cast("d"), threads.cast("q"))

    def register(self, slot: int) -> None:
        """Assign this slot to the calling thread."""
        self.threads[slot] = threading.get_ident()
