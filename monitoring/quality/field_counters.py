"""Counters of one field of one version: faults by kind.

Of what is declared of it also by what was done; of what its baseline taught nothing is done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .rules import ACTIONS, KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Slots of its block that declared faults use.
DECLARED_SLOTS: Final = len(KINDS) * len(ACTIONS)
#: Kinds of faults that a baseline teaches, in the slots after those.
LEARNT_KINDS: Final = ("range", "domain", "missing")
SLOTS: Final = DECLARED_SLOTS + len(LEARNT_KINDS)
_PLACE: Final = {
    (kind, policy): number
    for number, (kind, policy) in enumerate((kind, policy) for kind in KINDS for policy in ACTIONS)
}
#: Kind and action of each declared slot.
LABELS: Final = tuple((kind, ACTIONS[policy]) for kind, policy in _PLACE)


class FieldCounters:
    """Lives in a counter file.

    Args:
        slots: At least `SLOTS` of them.
    """

    __slots__ = ("_slots",)

    def __init__(self, slots: memoryview) -> None:
        self._slots = slots

    def count(self, kind: str, policy: str, values: int = 1) -> None:
        """So many values had this kind of fault, and this was done about them."""
        self._slots[_PLACE[kind, policy]] += values

    def count_learnt(self, faults: Iterable[int]) -> None:
        """So many rows had each of `LEARNT_KINDS`."""
        for place, rows in enumerate(faults, DECLARED_SLOTS):
            self._slots[place] += rows
