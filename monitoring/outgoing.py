"""Frames of samples that a worker has sent, or will send, until the monitor has kept them.

Frames are numbered for the life of the worker, and stay here until they are acknowledged, so that
after a reconnect they are sent again and the monitor, which has put the last number on its disk
together with the rows, skips what it has. Nothing is lost and nothing doubled by a monitor that is
killed, for as long as there is room; who fills this looks at `has_room` first.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Outgoing:
    """The queue of frames of one worker. One thread.

    Args:
        max_bytes: Frames may be added while those here are together smaller than this.
    """

    __slots__ = ("_begun", "_bytes", "_frames", "_max_bytes", "_number", "_sent")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._frames: deque[tuple[int, bytes, Mapping[tuple[str, str], int]]] = deque()
        self._bytes = 0
        self._number = 0
        self._sent = 0
        self._begun = 0

    @property
    def has_room(self) -> bool:
        """Whether one more frame may be added."""
        return self._bytes < self._max_bytes

    @property
    def held_bytes(self) -> int:
        """Bytes of all frames here."""
        return self._bytes

    def unsent_rows(self) -> dict[tuple[str, str], int]:
        """Rows in frames that were never sent, by model and version."""
        totals: dict[tuple[str, str], int] = {}
        for number, _, rows in self._frames:
            if number <= self._begun:
                continue
            for labels, count in rows.items():
                totals[labels] = totals.get(labels, 0) + count
        return totals

    @property
    def empty(self) -> bool:
        """Whether everything was acknowledged."""
        return not self._frames

    def next_number(self) -> int:
        """The number of the frame that is made next."""
        return self._number + 1

    def add(self, frame: bytes, rows: Mapping[tuple[str, str], int]) -> None:
        """Queue the frame that was made with `next_number`; `rows` by model and version."""
        self._number += 1
        self._frames.append((self._number, frame, rows))
        self._bytes += len(frame)

    def unsent(self) -> bytes | None:
        """The oldest frame that was not sent yet; it counts as sent now."""
        if self._sent >= len(self._frames):
            return None
        number, frame, _ = self._frames[self._sent]
        self._sent += 1
        self._begun = max(self._begun, number)
        return frame

    def acknowledge(self, number: int) -> None:
        """The monitor has kept every frame up to this number."""
        while self._frames and self._frames[0][0] <= number:
            _, frame, _ = self._frames.popleft()
            self._bytes -= len(frame)
            self._sent = max(0, self._sent - 1)

    def rewind(self) -> None:
        """The connection is a new one: what is here has to be sent again."""
        self._sent = 0
