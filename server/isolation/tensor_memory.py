"""A segment in which the tensors of one run after the other lie.

Most runs have tensors like those of the run before. Their places are worked out and checked once:
places that were written are known by the types and shapes of all arrays, places that were read by
all bytes of the numbers that describe them. Places are a function of these and nothing else; the
values are copied each time. Texts have other places each time, and are never remembered.

This module is used by the child, too: it imports numpy and the datatypes only.
"""

from __future__ import annotations

from array import array as whole_numbers
from typing import TYPE_CHECKING, Any

import numpy as np

from .tensors import find_tensors, put_tensors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.runtimes.contract import Array


class TensorMemory:
    """Writes and reads tensors. One thread at a time uses it.

    Args:
        memory: All bytes of the segment.
    """

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory
        self._written: list[Array | None] | None = None
        self._written_numbers = b""
        self._read: list[Array | None] = []
        self._read_numbers: bytes | None = None

    def put_again(self, arrays: Sequence[Array | None]) -> bytes | None:
        """Write tensors where the last ones lie.

        Returns:
            Their numbers; ``None`` if they are not like the last ones, and nothing was written.
        """
        places = self._written
        if places is None or len(arrays) != len(places):
            return None
        for array, place in zip(arrays, places, strict=True):
            if array is None or place is None:
                if array is not place:
                    return None
            elif array.dtype != place.dtype or array.shape != place.shape:
                return None
        for array, place in zip(arrays, places, strict=True):
            if place is not None:
                place[...] = array
        return self._written_numbers

    def put(self, numbers: Sequence[int], pieces: Sequence[Any]) -> bytes:
        """Write tensors as `penstock.server.isolation.tensors.pack_tensors` laid them out.

        Returns:
            Their numbers.
        """
        put_tensors(self._memory, pieces)
        texts = any(isinstance(content, bytes) for _, content in pieces)
        self._written = None if texts else find_tensors(self._memory, numbers)
        self._written_numbers = whole_numbers("q", numbers).tobytes()
        return self._written_numbers

    def take(self, numbers: bytes) -> list[Array | None]:
        """Copies of the tensors that these numbers describe, of which nothing is believed.

        Raises:
            BadTensors: They describe no tensors of this memory.
            ValueError: They are no whole numbers.
        """
        if numbers != self._read_numbers:
            found = find_tensors(self._memory, whole_numbers("q", numbers).tolist())
            if any(one is not None and one.dtype.hasobject for one in found):
                return _copies(found)
            self._read, self._read_numbers = found, numbers
        return _copies(self._read)

    def forget(self) -> None:
        """Let go of the memory."""
        self._written, self._read, self._read_numbers = None, [], None


def _copies(places: Sequence[Array | None]) -> list[Array | None]:
    return [None if one is None else np.array(one) for one in places]
