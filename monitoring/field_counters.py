"""Counters of one declared field of one version: faults by kind and by what was done about them."""

from __future__ import annotations

from typing import Final

from .quality.rules import ACTIONS, KINDS

#: Slots of its block that are used.
SLOTS: Final = len(KINDS) * len(ACTIONS)
_PLACE: Final = {
    (kind, policy): number
    for number, (kind, policy) in enumerate((kind, policy) for kind in KINDS for policy in ACTIONS)
}
#: Kind and action of each slot.
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
