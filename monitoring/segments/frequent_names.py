"""The names of the values of one field: the most frequent ones, in bounded memory.

The first `AT_ONCE` different values have a name at once. After that a value gets a name when it
makes up `FREQUENT` of all rows that were seen; Misra and Gries' counters find such values in fixed
memory. At most `MOST_NAMES` values have a name, and a value keeps it. All others are
`field.OTHER`.

Source: J. Misra, D. Gries, Finding repeated elements, Science of Computer Programming 2 (1982).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .field import MISSING, OTHER

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_NAMES: Final = 64
AT_ONCE: Final = 32
FREQUENT: Final = 0.01
#: Rows of a value before it can count as frequent.
_FEWEST: Final = 5
#: Values that wait for a name. A count is too small by at most 1 / (this + 1) of the rows.
_CANDIDATES: Final = 256
#: Codes of the values without a name of their own.
OTHER_CODE: Final = 0
MISSING_CODE: Final = 1


class FrequentNames:
    """Gives each value a code: a place in `names`.

    Args:
        known: Names that were given before, in the order of their codes.

    Attributes:
        names: `OTHER` and `MISSING`, then the names in the order in which they were given.
    """

    def __init__(self, known: Iterable[str] = ()) -> None:
        self.names = [OTHER, MISSING]
        self._codes = {OTHER: OTHER_CODE, MISSING: MISSING_CODE}
        self._counts: dict[str, int] = {}
        self._seen = 0
        for name in known:
            if name not in self._codes and not self.full:
                self._add(name)

    @property
    def full(self) -> bool:
        """True if no other value gets a name any more."""
        return len(self.names) - 2 >= MOST_NAMES

    def code(self, name: str, rows: int = 1) -> int:
        """The code of a value; counts its rows.

        Args:
            name: Name of the value, by `penstock.monitoring.segments.field.value_name`.
            rows: Rows that have it.
        """
        self._seen += rows
        code = self._codes.get(name)
        if code is not None:
            return code
        if self.full:
            return OTHER_CODE
        return self._add(name) if self._is_frequent(name, rows) else OTHER_CODE

    def _is_frequent(self, name: str, rows: int) -> bool:
        if len(self.names) - 2 < AT_ONCE:
            return True
        counts = self._counts
        count = counts.get(name, 0) + rows
        if count >= _FEWEST and count >= FREQUENT * self._seen:
            counts.pop(name, None)
            return True
        if name in counts or len(counts) < _CANDIDATES:
            counts[name] = count
            return False
        least = min(rows, *counts.values())
        for other in list(counts):
            counts[other] -= least
            if not counts[other]:
                del counts[other]
        if rows > least:
            counts[name] = rows - least
        return False

    def _add(self, name: str) -> int:
        code = self._codes[name] = len(self.names)
        self.names.append(name)
        return code
