"""The units that fail most in an arm, kept by one process in a table of fixed size.

The outcomes of the requests of each unit are counted: answered; failed and answered by stable
instead (*rescued*); failed by stable, too; failed and never given to stable. A unit enters with its
first failure, which is not counted: from then on its requests are counted as they come, so that the
counts are a fair record of a unit that was chosen before. Misra and Gries' rule keeps the table
small: while it is full, a failure of another unit takes one from every weight, and who has none
left makes room. A unit with more than 1 / (`ENTRIES` + 1) of all failures is always in it.

The table is int64 slots in a counter file, so that control reads it without asking. Source: J.
Misra, D. Gries, Finding repeated elements, Science of Computer Programming 2 (1982).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: Slots: the key of the rollout, units that ever entered, then the entries.
HEADER_SLOTS: Final = 2
ENTRY_SLOTS: Final = 5
ENTRIES: Final = 37
SLOTS: Final = HEADER_SLOTS + ENTRY_SLOTS * ENTRIES
#: A unit fails often in an arm if so many times its failures are more than its answers.
OFTEN: Final = 5
#: Timeouts of a unit within so many seconds are one failure: one stall of the machine makes many.
STALL_SECONDS: Final = 1.0


class Outcome(IntEnum):
    """The outcome of a request of a unit; the value is the slot in its entry."""

    ANSWERED = 1
    #: The canary failed, and stable answered the same request.
    RESCUED = 2
    #: Both failed at the same request.
    BOTH_FAILED = 3
    #: The arm failed, and nobody else was asked.
    UNTRIED = 4


@dataclass(frozen=True, slots=True)
class UnitCounts:
    """The outcomes of the requests of one unit since it entered the table.

    Attributes:
        key: Names the unit: `unit_key` of its value.
        answered: Requests that the arm answered.
        rescued: Requests that the canary failed at and stable answered.
        both_failed: Requests that both failed at.
        untried: Requests that the arm failed at and no other version was asked.
    """

    key: int
    answered: int = 0
    rescued: int = 0
    both_failed: int = 0
    untried: int = 0


@dataclass(frozen=True, slots=True)
class UnitTable:
    """The units that failed most, over all processes.

    Attributes:
        entered: Units that ever entered the canary's table.
        canary: Figures of its arm.
        stable: Keys of units that fail often in the arm of stable, too.
    """

    entered: int = 0
    canary: tuple[UnitCounts, ...] = ()
    stable: tuple[int, ...] = ()


class WorstUnits:
    """The table of one arm in one process. One thread.

    Args:
        slots: `SLOTS` int64 of a counter file; cleared here.
        rollout: Its id.
    """

    __slots__ = ("_at", "_free", "_rollout", "_slots", "_stalled", "_weights")

    def __init__(self, slots: memoryview, rollout: str) -> None:
        self._slots = slots
        self._rollout = rollout
        slots[0] = 0
        for slot in range(1, SLOTS):
            slots[slot] = 0
        slots[0] = rollout_key(rollout)
        self._free = [HEADER_SLOTS + ENTRY_SLOTS * n for n in reversed(range(ENTRIES))]
        self._at: dict[bytes, int] = {}
        self._weights: dict[bytes, int] = {}
        self._stalled: dict[bytes, float] = {}

    def __len__(self) -> int:
        return len(self._at)

    def answered(self, unit: bytes) -> None:
        """The arm answered a request of this unit."""
        at = self._at.get(unit)
        if at is not None:
            self._slots[at + Outcome.ANSWERED] += 1

    def failed(self, unit: bytes, outcome: Outcome, now: float, *, timeout: bool = False) -> None:
        """The arm failed at a request of this unit.

        Args:
            unit: Value of the sticky header, or the request id.
            outcome: Outcome of the request.
            now: Seconds of any clock.
            timeout: Whether it failed because its time was over.
        """
        if timeout:
            if now - self._stalled.get(unit, -STALL_SECONDS) < STALL_SECONDS:
                return
            if unit in self._at:
                self._stalled[unit] = now
        at = self._at.get(unit)
        if at is None:
            self._enter(unit)
            return
        self._weights[unit] += 1
        self._slots[at + outcome] += 1

    def _enter(self, unit: bytes) -> None:
        if not self._free:
            for other in list(self._weights):
                self._weights[other] -= 1
                if not self._weights[other]:
                    self._leave(other)
            if not self._free:
                return
        at, slots = self._free.pop(), self._slots
        self._at[unit], self._weights[unit] = at, 1
        for slot in range(at + 1, at + ENTRY_SLOTS):
            slots[slot] = 0
        slots[at] = unit_key(self._rollout, unit)  # last: readers see whole entries
        slots[1] += 1

    def _leave(self, unit: bytes) -> None:
        at = self._at.pop(unit)
        self._slots[at] = 0
        del self._weights[unit]
        self._stalled.pop(unit, None)
        self._free.append(at)


def rollout_key(rollout: str) -> int:
    """Names a rollout in a table; not 0."""
    return unit_key(rollout, b"")


def unit_key(rollout: str, unit: bytes) -> int:
    """Names a unit in the tables of a rollout: 63 bits of a hash of its value, not 0."""
    from hashlib import blake2b  # as in `terms_digest`: not in the supervisor

    key = blake2b(rollout.encode(), digest_size=32).digest()
    digest = blake2b(unit, digest_size=8, key=key, person=b"worst unit").digest()
    return int.from_bytes(digest, "big") >> 1 or 1


def table_of(
    rollout: str, canary: Iterable[Sequence[int]], stable: Iterable[Sequence[int]]
) -> UnitTable:
    """The tables of all processes as one.

    Args:
        rollout: Its id; tables of another one are left out.
        canary: `SLOTS` figures of each process, of the candidate's table.
        stable: The same of stable's.
    """
    wanted, entered = rollout_key(rollout), 0
    found: dict[int, list[int]] = {}
    for slots in canary:
        if slots[0] == wanted:
            entered += slots[1]
            for entry in _entries(slots):
                sums = found.setdefault(entry[0], [0] * (ENTRY_SLOTS - 1))
                sums[:] = map(sum, zip(sums, entry[1:], strict=True))
    failing = {
        entry[0]
        for slots in stable
        if slots[0] == wanted
        for entry in _entries(slots)
        if OFTEN * entry[Outcome.UNTRIED] > entry[Outcome.ANSWERED]
    }
    units = tuple(UnitCounts(key, *counts) for key, counts in sorted(found.items()))
    return UnitTable(entered, units, tuple(sorted(failing)))


def _entries(slots: Sequence[int]) -> Iterable[Sequence[int]]:
    for at in range(HEADER_SLOTS, SLOTS, ENTRY_SLOTS):
        if slots[at]:
            yield slots[at : at + ENTRY_SLOTS]
