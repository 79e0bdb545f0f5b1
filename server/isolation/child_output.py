"""What a child writes to its standard output and standard error, as lines of the log.

A model may print as much as it likes: so many lines a second are logged, the others are counted.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

LOG = logging.getLogger("penstock.models")

#: Lines that may come at once, and in each second from then on.
BURST_LINES: Final = 200
LINES_PER_SECOND: Final = 20.0
#: A longer line is cut into several.
MAX_LINE_BYTES: Final = 4096


class ChildOutput:
    """A pipe for one child, and the thread that logs what comes through it.

    Args:
        name: Name of what runs in the child, for the log.
        clock: Monotonic seconds.

    Attributes:
        descriptor: The end for the child; `close` it once the child has it.
    """

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._room, self._seen = float(BURST_LINES), clock()
        self._dropped = 0
        reading, self.descriptor = os.pipe()
        thread = threading.Thread(
            target=self._read, args=(reading,), name="penstock-output", daemon=True
        )
        try:
            thread.start()
        except BaseException:
            os.close(reading)
            self.close()
            raise

    def close(self) -> None:
        """Close the child's end here: the thread ends when the child has closed its own."""
        os.close(self.descriptor)

    def _read(self, reading: int) -> None:
        with os.fdopen(reading, "rb") as pipe:
            while line := pipe.readline(MAX_LINE_BYTES):
                self._tell(line.decode("utf-8", "backslashreplace").rstrip())
        self._tell_dropped()

    def _tell(self, text: str) -> None:
        now = self._clock()
        self._room = min(BURST_LINES, self._room + LINES_PER_SECOND * (now - self._seen))
        self._seen = now
        if self._room < 1:
            self._dropped += 1
            return
        self._room -= 1
        self._tell_dropped()
        if text:
            LOG.info("%s printed: %s", self._name, text)

    def _tell_dropped(self) -> None:
        if self._dropped:
            LOG.warning("%s printed %d more lines, not logged", self._name, self._dropped)
            self._dropped = 0
