"""The requests of both arms by segment, kept by one process in a table of fixed size.

The table is int64 slots in blocks of a counter file, so that control reads it without asking. Each
block begins with the key of the rollout. An entry holds the number of its field, the length and the
text of its name, and six counts. A segment has an entry from its first request in either arm on,
or from when it has become frequent; both arms count from the same moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.monitoring.segments.field import NAME_BYTES, OTHER
from penstock.monitoring.segments.frequent_names import FrequentNames
from penstock.monitoring.segments.segment_rows import segment_name

from .segment_counts import MOST_SEGMENTS, SegmentCounts
from .worst_units import rollout_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_TEXT_SLOTS: Final = NAME_BYTES // 8
_COUNTS: Final = 1 + _TEXT_SLOTS
#: Of an arm: requests, failures, slow answers. Those of stable come first.
_ARM_COUNTS: Final = 3
ENTRY_SLOTS: Final = _COUNTS + 2 * _ARM_COUNTS
_HEADER_SLOTS: Final = 1
#: Of a block of a counter file.
BLOCK_SLOTS: Final = 192
BLOCK_ENTRIES: Final = (BLOCK_SLOTS - _HEADER_SLOTS) // ENTRY_SLOTS
BLOCKS: Final = MOST_SEGMENTS // BLOCK_ENTRIES
#: The number of a field is in the lower byte, the length of the name in the next.
_BYTE: Final = 8


class SegmentTable:
    """The table of one process. One thread.

    Args:
        blocks: `BLOCKS` blocks of `BLOCK_SLOTS` int64; cleared here.
        rollout: Id of the rollout.
        fields: Names of the declared fields.
    """

    __slots__ = ("_blocks", "_entries", "_fields", "_names", "_number")

    def __init__(self, blocks: Sequence[memoryview], rollout: str, fields: Sequence[str]) -> None:
        self._blocks = blocks
        self._fields = fields
        self._number = 0
        for block in blocks:
            for slot in range(BLOCK_SLOTS):
                block[slot] = 0
        for block in blocks:
            block[0] = rollout_key(rollout)
        self._names = [FrequentNames() for _ in fields]
        self._entries: list[dict[int, tuple[memoryview, int]]] = [
            {0: self._new(number, OTHER)} for number, _ in enumerate(fields)
        ]

    def count(
        self, field: int, name: str, *, canary: bool, failed: bool, slow: bool = False
    ) -> None:
        """Count a request.

        Args:
            field: Number of the field.
            name: The value, by `penstock.monitoring.segments.field.value_name`.
            canary: Whether it is in the candidate's arm.
            failed: Whether the arm failed at it, and the failure is the first of its unit.
            slow: Whether the answer was slow, and is the first slow one of its unit.
        """
        code = self._names[field].code(name)
        entries = self._entries[field]
        entry = entries.get(code)
        if entry is None:
            if self._number < BLOCKS * BLOCK_ENTRIES:
                entry = entries[code] = self._new(field, self._names[field].names[code])
            else:
                entry = entries[0]
        block, at = entry
        at += _ARM_COUNTS if canary else 0
        block[at] += 1
        if failed:
            block[at + 1] += 1
        if slow:
            block[at + 2] += 1

    def _new(self, field: int, name: str) -> tuple[memoryview, int]:
        """A new entry: its block, and where its counts begin."""
        number, self._number = self._number, self._number + 1
        block = self._blocks[number // BLOCK_ENTRIES]
        at = _HEADER_SLOTS + number % BLOCK_ENTRIES * ENTRY_SLOTS
        text = name.encode()
        padded = text.ljust(NAME_BYTES, b"\0")
        for slot in range(_TEXT_SLOTS):
            part = padded[8 * slot : 8 * slot + 8]
            block[at + 1 + slot] = int.from_bytes(part, "little", signed=True)
        block[at] = (field + 1) | len(text) << _BYTE  # last: readers see whole entries
        return block, at + _COUNTS


def segments_of(
    rollout: str, fields: Sequence[str], blocks: Iterable[Sequence[int]]
) -> dict[str, SegmentCounts]:
    """The tables of all processes as one, by the names of the segments.

    Args:
        rollout: Id of the rollout; blocks of another one are left out.
        fields: Names of the declared fields.
        blocks: `BLOCK_SLOTS` figures each.
    """
    wanted = rollout_key(rollout)
    found: dict[str, SegmentCounts] = {}
    for slots in blocks:
        if slots[0] != wanted:
            continue
        for at in range(_HEADER_SLOTS, BLOCK_SLOTS - ENTRY_SLOTS + 1, ENTRY_SLOTS):
            field = slots[at] & 0xFF
            if not 1 <= field <= len(fields):
                continue
            length = slots[at] >> _BYTE
            text = b"".join(
                slots[at + 1 + slot].to_bytes(8, "little", signed=True)
                for slot in range(_TEXT_SLOTS)
            )[:length]
            name = segment_name(fields[field - 1], text.decode(errors="replace"))
            counts = _counts_of(slots[at + _COUNTS : at + ENTRY_SLOTS])
            found[name] = found.get(name, SegmentCounts()).plus(counts)
    return found


def _counts_of(slots: Sequence[int]) -> SegmentCounts:
    stable, stable_failed, stable_slow, canary, canary_failed, canary_slow = slots
    return SegmentCounts(
        stable,
        stable_failed,
        canary,
        canary_failed,
        stable_slow=stable_slow,
        canary_slow=canary_slow,
    )
