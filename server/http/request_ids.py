"""Ids of requests whose callers gave none."""

from __future__ import annotations

import os
from binascii import hexlify
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

#: Random bytes in an id; twice as many hexadecimal digits.
ID_BYTES: Final = 16
#: Ids made from one call of the system's random source.
BATCH_IDS: Final = 256

_DIGITS: Final = 2 * ID_BYTES
_BATCH_DIGITS: Final = BATCH_IDS * _DIGITS


class RequestIds:
    """Makes ids that nobody can guess: 128 random bits each, as 32 hexadecimal digits.

    Whoever knows the id of a prediction may label it, so an id must tell nothing about another one.
    A counter behind a random prefix does: its neighbours are one step away. Each id is therefore
    random by itself. Two ids are equal with a probability below 2^-64 after 2^32 ids.

    The random bytes come in batches: 0.2 µs for an id, where a system call for each takes 0.6.
    The first batch is drawn when the first id is asked for, so processes that are forked before
    they serve have different ids.

    Args:
        random_bytes: Draws so many bytes; for tests.
    """

    __slots__ = ("_digits", "_position", "_random_bytes")

    def __init__(self, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._random_bytes = random_bytes
        self._digits = b""
        self._position = _BATCH_DIGITS

    def new(self) -> bytes:
        """One id."""
        start = self._position
        if start == _BATCH_DIGITS:
            self._digits = hexlify(self._random_bytes(BATCH_IDS * ID_BYTES))
            start = 0
        self._position = end = start + _DIGITS
        return self._digits[start:end]

    def take(self, count: int) -> list[bytes]:
        """So many ids."""
        start = self._position
        end = start + count * _DIGITS
        if end > _BATCH_DIGITS:
            return [self.new() for _ in range(count)]
        digits, self._position = self._digits, end
        return [digits[at : at + _DIGITS] for at in range(start, end, _DIGITS)]
