"""Fields that must not leave a worker as they are: dropped, or replaced by a keyed hash."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Hexadecimal digits of a hash: enough that no two values share one.
HASH_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Privacy:
    """The privacy rules of one model's fields.

    Attributes:
        drop: Inputs and outputs that are left out.
        hash: Inputs and outputs whose values are replaced by their keyed hash, as text: equal
            values have equal hashes, and without the key no value can be found from its hash.
        key: Key of the hash; 16 to 64 bytes.
    """

    drop: frozenset[str]
    hash: frozenset[str]
    key: bytes

    def passes(self, name: str) -> bool:
        """True if the field may leave the worker unchanged."""
        return name not in self.drop and name not in self.hash

    def apply(self, name: str, array: NDArray[Any] | None) -> NDArray[Any] | None:
        """The field as it may leave the worker; ``None`` if it may not.

        Args:
            name: Name of the field.
            array: Axis 0 is rows; a hash of a row covers all its elements together.
        """
        if array is None or name in self.drop:
            return None
        return hashed(array, self.key) if name in self.hash else array


def hashed(rows: NDArray[Any], key: bytes) -> NDArray[Any]:
    """One hash per row, as an object array of ``bytes``."""
    digests = np.empty(len(rows), dtype=object)
    for index, row in enumerate(rows):
        digests[index] = hash_value(row, key)
    return digests


def hash_value(value: Any, key: bytes) -> bytes:
    """The hash of ``bytes``, a number, or all elements of an array; numbers are hashed as text."""
    elements = value.ravel().tolist() if isinstance(value, np.ndarray) else [value]
    parts = [one if isinstance(one, bytes) else str(one).encode() for one in elements]
    return blake2b(b"\0".join(parts), digest_size=HASH_BYTES, key=key).hexdigest().encode()
