"""The write budget of the prediction log. Pure."""

from __future__ import annotations

from typing import Final

from .day_file import MAX_WAL_BYTES

#: What one row may take beside its own bytes, at worst: a page of the index of request ids, in the
#: write-ahead log and in the file.
_INDEX_BYTES: Final = 2 * 4120
_SLACK_BYTES: Final = 64 << 10
#: A transaction may need no more than this part of the limit.
_TRANSACTION_PART: Final = 8
#: Thinning begins when the present day has taken this part of the limit.
_THIN_FROM: Final = 0.5
_LEAST_SHARE: Final = 0.001


def reserve(rows: int, row_bytes: int) -> int:
    """Bytes by which the directory may grow, at most, when so many rows are committed."""
    return rows * (_INDEX_BYTES + 3 * row_bytes) + _SLACK_BYTES


def wal_bytes(max_bytes: int) -> int:
    """The bytes to which the write-ahead log may grow before it is emptied."""
    return min(MAX_WAL_BYTES, max_bytes // (4 * _TRANSACTION_PART))


def transaction_is_full(reserved: int, max_bytes: int) -> bool:
    """True if a commit is needed before more is added."""
    return reserved * _TRANSACTION_PART > max_bytes


def share(today: int, max_bytes: int, bytes_per_second: float, seconds_left: float) -> float:
    """The part of all rows to write, so that there is room until the end of the day.

    Args:
        today: Bytes of the present day; older days can make room, this one cannot.
        max_bytes: Of the directory.
        bytes_per_second: Bytes that writing all rows would take in a second.
        seconds_left: Of the day.
    """
    if today < _THIN_FROM * max_bytes:
        return 1.0
    needed = bytes_per_second * seconds_left
    free = max(0, max_bytes - today)
    return max(_LEAST_SHARE, min(1.0, free / needed)) if needed > 0 else 1.0
