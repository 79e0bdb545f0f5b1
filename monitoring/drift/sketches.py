"""Sketches of a window: quantiles of numbers, distinct and new categories. Apache DataSketches.

They are for people: nothing is decided by them, and without the library (extra ``monitor``) all
else is the same. Each feature has a sketch of its own: updated a column at a time, that costs what
one vector of sketches does, and features may have different numbers of rows.

| sketch | of | error |
|---|---|---|
| KLL, k = 200 | quantiles of the finite values | 1.3 % of the rank |
| HyperLogLog, 2**12 registers | the number of distinct categories | 1.6 % |
| frequent strings, 48 of them | categories that the baseline has not | none up to 48 |
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

#: Shares of the values below each quantile.
RANKS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
#: New categories that are named, and the fewest rows of one: one row may be a typing error, or a
#: person.
MOST_NEW: Final = 10
LEAST_NEW: Final = 5
_K: Final = 200
_LG_REGISTERS: Final = 12
_LG_NEW: Final = 6


@cache
def library() -> Any:
    """The module; ``None`` if it is not installed."""
    try:
        import datasketches  # 2 MB, needed in the monitor process only
    except ImportError:
        return None
    return datasketches


class Sketches:
    """Of all features of a window, or of the windows of a day. Needs the library."""

    def __init__(self) -> None:
        self._numbers: dict[str, Any] = {}
        self._distinct: dict[str, Any] = {}
        self._new: dict[str, Any] = {}

    def add_numbers(self, name: str, values: NDArray[np.float64]) -> None:
        """Take values; those that are not finite are left out."""
        sketch = self._numbers.get(name)
        if sketch is None:
            sketch = self._numbers[name] = library().kll_floats_sketch(_K)
        with np.errstate(over="ignore"):
            single = values.astype(np.float32)
        if not np.isfinite(single).all():
            single = single[np.isfinite(single)]
        if single.size:
            sketch.update(single)

    def add_categories(self, name: str, found: Mapping[str, int], new: Iterable[str]) -> None:
        """Take categories.

        Args:
            name: Name of the feature.
            found: Rows of each.
            new: Those that the baseline has not.
        """
        sketch = self._distinct.get(name)
        if sketch is None:
            kinds = library().tgt_hll_type
            sketch = self._distinct[name] = library().hll_sketch(_LG_REGISTERS, kinds.HLL_4)
        for one in found:
            if one:
                sketch.update(one)
        for one in new:
            if name not in self._new:
                self._new[name] = library().frequent_strings_sketch(_LG_NEW)
            self._new[name].update(one, found[one])

    def merge(self, other: Sketches) -> None:
        """Add the sketches of another window."""
        for mine, theirs in ((self._numbers, other._numbers), (self._new, other._new)):
            for name, sketch in theirs.items():
                if name in mine:
                    mine[name].merge(sketch)
                else:
                    mine[name] = sketch
        for name, sketch in other._distinct.items():
            if name in self._distinct:
                union = library().hll_union(_LG_REGISTERS)
                union.update(self._distinct[name])
                union.update(sketch)
                sketch = union.get_result(library().tgt_hll_type.HLL_4)  # noqa: PLW2901
            self._distinct[name] = sketch

    def figures(self) -> dict[str, dict[str, Any]]:
        """Figures of the sketches by feature; readers of the figures do not need the library.

        Returns:
            ``quantiles`` at `RANKS` of numbers; of categories ``distinct``, and ``new`` with
            pairs of category and rows.
        """
        found: dict[str, dict[str, Any]] = {
            name: {"quantiles": list(map(float, one.get_quantiles(list(RANKS))))}
            for name, one in self._numbers.items()
            if not one.is_empty()
        }
        for name, one in self._distinct.items():
            found[name] = {"distinct": round(one.get_estimate()), "new": self._named(name)}
        return found

    def to_dict(self) -> dict[str, dict[str, bytes]]:
        """For msgpack."""
        return {
            "numbers": {name: one.serialize() for name, one in self._numbers.items()},
            "distinct": {name: one.serialize_compact() for name, one in self._distinct.items()},
            "new": {name: one.serialize() for name, one in self._new.items()},
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Mapping[str, bytes]]) -> Sketches:
        """The reverse of `to_dict`."""
        made, module = cls(), library()
        kinds = (
            ("numbers", made._numbers, module.kll_floats_sketch),
            ("distinct", made._distinct, module.hll_sketch),
            ("new", made._new, module.frequent_strings_sketch),
        )
        for key, into, kind in kinds:
            into.update({name: kind.deserialize(one) for name, one in content[key].items()})
        return made

    def _named(self, name: str) -> list[list[Any]]:
        sketch = self._new.get(name)
        if sketch is None:
            return []
        kinds = library().frequent_items_error_type
        items = sketch.get_frequent_items(kinds.NO_FALSE_NEGATIVES)
        often = sorted((-rows, text) for text, rows, *_ in items if rows >= LEAST_NEW)
        return [[text, -rows] for rows, text in often[:MOST_NEW]]
