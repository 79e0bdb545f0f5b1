"""The declared fields of one input, compiled for its arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .check import columns_of, wrong_values
from .rules import NULL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .check import Array, Mask
    from .field_counters import FieldCounters
    from .rules import FieldRule


class FieldCheck:
    """One declared field of one input.

    Attributes:
        rule: Rule of the field.
        input: Index in the signature.
        by_rows: Whether axis 0 of the input is rows.
        column: Element of a row; ``None`` for all.
        counters: Counters of the field.
    """

    __slots__ = ("by_rows", "column", "counters", "input", "rule")

    def __init__(
        self,
        rule: FieldRule,
        input_: int,
        column: int | None,
        counters: FieldCounters,
        *,
        by_rows: bool,
    ) -> None:
        self.rule = rule
        self.input = input_
        self.by_rows = by_rows
        self.column = column
        self.counters = counters

    def policy(self, kind: str) -> str:
        """The policy for a fault."""
        return self.rule.nulls if kind == NULL else self.rule.policy

    def faults(self, array: Array, now: float) -> list[tuple[str, Mask]]:
        """Kinds of faults that occur, and where."""
        values = self.part(array)
        return [(kind, mask) for kind, mask in wrong_values(self.rule, values, now) if mask.any()]

    def part(self, array: Array) -> Array:
        """Rows x elements of this field, of the same memory."""
        whole = columns_of(array, len(array) if self.by_rows else 1)
        return whole if self.column is None else whole[:, self.column : self.column + 1]


class InputCheck:
    """All declared fields of one input, with a quick look that most requests pass.

    Args:
        checks: Checks of the same input.
    """

    def __init__(self, checks: Sequence[FieldCheck]) -> None:
        self.input = checks[0].input
        self._by_rows = checks[0].by_rows
        # A range says all of these; NaN is outside of every range.
        self._ranges = [one for one in checks if _is_range(one.rule)]
        self._others = [one for one in checks if not _is_range(one.rule)]
        whole = [one for one in self._ranges if one.column is None]
        self._columns = None if whole else np.array([one.column for one in self._ranges], int)
        rules = [one.rule for one in (whole or self._ranges)]
        self._low = np.array([-np.inf if one.minimum is None else one.minimum for one in rules])
        self._high = np.array([np.inf if one.maximum is None else one.maximum for one in rules])
        # Several ranges of the same elements are looked at one by one.
        self._quick = bool(self._ranges) and (not whole or len(self._ranges) == 1)

    def faults(self, array: Array, now: float) -> list[tuple[FieldCheck, str, Mask]]:
        """Fields, kinds of faults that occur, and where."""
        checks = self._others if self._quick and self._clean(array) else self._all
        return [(check, kind, mask) for check in checks for kind, mask in check.faults(array, now)]

    @property
    def _all(self) -> list[FieldCheck]:
        return self._ranges + self._others

    def _clean(self, array: Array) -> bool:
        if array.dtype.hasobject:
            return False
        values = columns_of(array, len(array) if self._by_rows else 1)
        if self._columns is not None:
            values = values[:, self._columns]
        return bool(((values >= self._low) & (values <= self._high)).all())


def _is_range(rule: FieldRule) -> bool:
    """Whether a range, maybe an open one, is all that is declared."""
    return not (rule.integer or rule.values or rule.max_age_seconds)
