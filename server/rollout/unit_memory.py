"""Which units have had a bad answer before: a memory of fixed size that all workers share.

A unit is what the arm of a request is chosen by: the value of the sticky header, else the request
id. All requests of a unit fall in one arm, so that its bad answers are one piece of evidence and
not many. The memory is a table of 64-bit keys in shared memory. It has `SETS` sets of `WAYS` keys;
the key that was asked for longest ago leaves a full set. A unit that goes on failing stays in.

Two workers that add to one set at the same moment may overwrite each other's key. The price is that
one unit counts twice; nothing else can go wrong.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

SETS: Final = 8192
WAYS: Final = 8
#: Size of the memory.
MEMORY_BYTES: Final = 8 * SETS * WAYS
#: A rollout's part in a key.
SALT_BYTES: Final = 32


class UnitMemory:
    """The bad answers of units, each remembered once by kind and scope.

    Args:
        memory: `MEMORY_BYTES` bytes of memory, all zero at first; shared between processes.
    """

    __slots__ = ("_keys",)

    def __init__(self, memory: memoryview) -> None:
        self._keys = memory.cast("B").cast("Q")

    def add(self, key: int) -> bool:
        """Remember a key, which is not 0; returns whether it is new."""
        keys, first = self._keys, key % SETS * WAYS
        known = keys[first : first + WAYS].tolist()
        if known[0] == key:
            return False
        place = known.index(key) if key in known else WAYS - 1
        found = known[place] == key
        for position in range(place, 0, -1):
            keys[first + position] = known[position - 1]
        keys[first] = key
        return not found


class FirstFailures:
    """Tells the first bad answer of a unit, which is evidence, from those that repeat it.

    Units move from stable to the canary while the share grows, never back. A unit that was bad in
    the canary counts never again. One that was bad in stable counts once more in each later step,
    in whichever arm it is then: it was above the former share, so it is in the canary with a
    smaller probability than the new share says, which is the safe side
    (`penstock.server.rollout.arm_evidence`). After a promotion the arms are others (the holdback);
    then a unit counts only if it never did before.

    Args:
        memory: Shared between the workers.
        rollout: Id of the rollout; salts the keys.
        percent: Share of the present step.
        watching: Whether the candidate was promoted and is being watched.
    """

    __slots__ = ("_memory", "_salt", "_step", "_watching")

    def __init__(
        self, memory: UnitMemory, rollout: str, percent: float, *, watching: bool = False
    ) -> None:
        self._memory = memory
        self._salt = blake2b(rollout.encode(), digest_size=SALT_BYTES).digest()
        self._step = f"{percent!r}".encode()
        self._watching = watching

    def is_first(self, unit: bytes, kind: bytes, *, canary: bool) -> bool:
        """Whether this bad answer of the unit is evidence; remembers it.

        Args:
            unit: Value of the sticky header, or the request id.
            kind: Kind of the bad answer.
            canary: Whether it fell in the canary's arm.
        """
        ever = self._memory.add(self._key(unit, kind, b"ever"))
        if self._watching:
            return ever
        of_canary = self._key(unit, kind, b"canary")
        if canary:
            return self._memory.add(of_canary)
        return self._memory.add(self._key(unit, kind, b"stable", self._step))

    def _key(self, unit: bytes, *scope: bytes) -> int:
        text = b"\0".join((*scope, unit))
        return int.from_bytes(blake2b(text, digest_size=8, key=self._salt).digest(), "big") or 1


def anonymous_memory() -> memoryview:
    """A memory of this process alone."""
    return memoryview(bytearray(MEMORY_BYTES))
