"""Bins and counts out of values: of the first live rows, or of a table. Bounded."""

from __future__ import annotations

import math
from itertools import compress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from .baseline import Reference
from .bins import category_bins, number_bins, text, texts_of
from .halves import counted, scrambled
from .moments import moments_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

#: Shares beyond which a value is out of the ordinary.
_LIMITS: Final = (0.0001, 0.9999)


def number_reference(values: NDArray[np.float64], *, output: bool = False) -> Reference:
    """The reference of numbers: bins from one half of them, counts of the other.

    Args:
        values: float64, one axis, in the order in which they came; NaN is missing.
        output: Whether the model puts them out.
    """
    second = counted(values.size)
    bins = number_bins(values[~second])
    finite = values[np.isfinite(values)]
    limits = tuple(np.quantile(finite, _LIMITS).tolist()) if finite.size else ()
    return Reference(
        bins,
        bins.count(values[second]),
        moments_of(values),
        output=output,
        limits=limits,
        fitted=int(np.count_nonzero(~second)),
    )


def category_reference(values: Sequence[Any], *, output: bool = False) -> Reference:
    """The reference of categories: bins from one half of them, counts of the other.

    Args:
        values: Texts, bytes or whole numbers, in the order in which they came.
        output: Whether the model puts them out.
    """
    second = counted(len(values)).tolist()
    bins = category_bins(texts_of(compress(values, (not one for one in second))))
    counts = bins.count(compress(values, second))
    return Reference(bins, counts, output=output, fitted=len(values) - sum(second))


def reference_of(column: Column) -> Reference:
    """The reference of a feature."""
    if column.categorical:
        return category_reference(column.values.tolist(), output=column.output)
    return number_reference(column.values, output=column.output)


class Learner:
    """Keeps values of features for a while: all of them, or an even part of too many.

    The same rows are kept of all features that have all rows, so that they can be looked at
    together.

    Args:
        rows: The most that are kept of a feature.
        seconds: It is complete after this,
        least: with at least so many rows.
    """

    def __init__(self, rows: int, seconds: float, least: int = 1) -> None:
        self._rows = rows
        self._seconds = seconds
        self._least = least
        self._since = math.inf
        self._kept: dict[str, _Kept] = {}

    def take(
        self,
        name: str,
        values: NDArray[Any],
        *,
        output: bool,
        categorical: bool,
        time: float = math.inf,
    ) -> None:
        """Take values of a feature of this time, Unix seconds."""
        self._since = min(self._since, time)
        if name not in self._kept:
            self._kept[name] = _Kept(output=output, categorical=categorical)
        self._kept[name].take(values, self._rows)

    def complete(self, now: float) -> bool:
        """True if there are enough values of some feature; requests may leave others out.

        Args:
            now: Unix seconds.
        """
        most = max((one.seen for one in self._kept.values()), default=0)
        return most >= self._least and now - self._since >= self._seconds

    def columns(self) -> dict[str, Column]:
        """The kept rows as columns, in the order of their arrival.

        Features seen in fewer than a tenth of the rows are left out.
        """
        least = max((one.seen for one in self._kept.values()), default=0) / 10
        return {
            name: Column(one.values(), one.output, one.categorical)
            for name, one in self._kept.items()
            if one.seen and one.seen >= least
        }

    def state(self) -> dict[str, Any]:
        """The state that must survive a restart, for msgpack."""
        return {name: {**one.state(), "since": self._since} for name, one in self._kept.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on with what `state` gave."""
        for name, one in state.items():
            self._since = min(self._since, one["since"])
            self._kept[name] = _Kept.restored(one)


class Column(NamedTuple):
    """Values of one feature, in the order in which they came.

    Attributes:
        values: float64, NaN is missing; of categories texts, bytes or whole numbers.
        output: Whether it is an output of the model.
        categorical: Whether its values are categories.
    """

    values: NDArray[Any]
    output: bool = False
    categorical: bool = False


class _Kept:
    """Rows of one feature: those whose scrambled place begins with enough zeros."""

    def __init__(self, *, output: bool, categorical: bool) -> None:
        self.output = output
        self.categorical = categorical
        self.seen = 0
        self._zeros = 0
        self._places: list[NDArray[np.uint64]] = []
        self._parts: list[NDArray[Any]] = []
        self._number = 0

    def take(self, values: NDArray[Any], most: int) -> None:
        places = np.arange(self.seen, self.seen + len(values), dtype=np.uint64)
        self.seen += len(values)
        self._add(places, values)
        while self._number > most:
            self._zeros += 1
            places, values = np.concatenate(self._places), self.values()
            self._places, self._parts, self._number = [], [], 0
            self._add(places, values)

    def _add(self, places: NDArray[np.uint64], values: NDArray[Any]) -> None:
        if self._zeros:
            chosen = scrambled(places) >> np.uint64(64 - self._zeros) == 0
            places, values = places[chosen], values[chosen]
        if len(values):
            # A copy: a view would keep the whole frame that it came in.
            self._places.append(places)
            self._parts.append(values.copy())
            self._number += len(values)

    def values(self) -> NDArray[Any]:
        return np.concatenate(self._parts) if self._parts else np.empty(0)

    def state(self) -> dict[str, Any]:
        values = self.values()
        return {
            "values": [text(one) for one in values.tolist()]
            if self.categorical
            else values.astype(np.float64).tobytes(),
            "places": np.concatenate([*self._places, np.empty(0, np.uint64)]).tobytes(),
            "zeros": self._zeros,
            "seen": self.seen,
            "output": self.output,
            "categorical": self.categorical,
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> _Kept:
        made = cls(output=state["output"], categorical=state["categorical"])
        packed = state["values"]
        if made.categorical:
            values: NDArray[Any] = np.empty(len(packed), object)
            values[:] = packed
        else:
            values = np.frombuffer(packed)
        # A state of before has neither: all of its rows were kept.
        made.seen, made._zeros = state.get("seen", len(values)), state.get("zeros", 0)
        places = state.get("places")
        if places is None:
            made._add(np.arange(len(values), dtype=np.uint64), values)
        else:
            made._places, made._parts = [np.frombuffer(places, np.uint64)], [values]
            made._number = len(values)
        return made
