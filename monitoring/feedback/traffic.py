"""Numbers of predictions per hour, and histograms of their confidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from .performance import CALIBRATION_BINS, bin_of

if TYPE_CHECKING:
    import sqlite3

    from numpy.typing import NDArray

    from .outputs import Array

HOUR: Final = 3600
_FIND: Final = "SELECT rows, confidence FROM traffic WHERE slot = ? AND hour = ?"
_PUT: Final = "INSERT OR REPLACE INTO traffic VALUES (?, ?, ?, ?)"


class Traffic:
    """The predictions since the last write."""

    def __init__(self) -> None:
        self._rows: dict[tuple[int, int], int] = {}
        self._confidence: dict[tuple[int, int], NDArray[np.int64]] = {}

    def __bool__(self) -> bool:
        """Whether there is something to write."""
        return bool(self._rows)

    def add(self, slot: int, time: float, rows: int, scores: Array) -> None:
        """Count a batch."""
        key = slot, int(time // HOUR)
        self._rows[key] = self._rows.get(key, 0) + rows
        if not scores.shape[1]:
            return
        surest = scores.max(axis=1)
        if scores.shape[1] == 1:
            surest = np.maximum(surest, 1 - surest)
        counts = np.bincount(bin_of(surest, CALIBRATION_BINS), minlength=CALIBRATION_BINS)
        known = self._confidence.get(key)
        self._confidence[key] = counts if known is None else known + counts

    def write(self, connection: sqlite3.Connection) -> None:
        """Add to what is on disk; the caller commits."""
        for key, rows in self._rows.items():
            counts = self._confidence.get(key, np.zeros(CALIBRATION_BINS)).astype("<i8")
            known = connection.execute(_FIND, key).fetchone()
            before = 0
            if known is not None:
                before = known[0]
                counts += np.frombuffer(known[1], "<i8")
            connection.execute(_PUT, (*key, before + rows, counts.tobytes()))
        self._rows.clear()
        self._confidence.clear()
