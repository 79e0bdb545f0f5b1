"""A baseline out of values: of the first live rows, or of a sample of a file. Bounded."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .baseline import Reference
from .bins import category_bins, number_bins, text, texts_of
from .moments import moments_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

#: Shares beyond which a value is out of the ordinary.
_LIMITS: Final = (0.0001, 0.9999)


def number_reference(values: NDArray[np.float64], *, output: bool = False) -> Reference:
    """The reference of numbers.

    Args:
        values: float64, one axis; NaN is missing.
        output: Whether the model puts them out.
    """
    bins = number_bins(values)
    finite = values[np.isfinite(values)]
    limits = tuple(np.quantile(finite, _LIMITS).tolist()) if finite.size else ()
    return Reference(bins, bins.count(values), moments_of(values), output=output, limits=limits)


def category_reference(values: Sequence[Any], *, output: bool = False) -> Reference:
    """The reference of categories.

    Args:
        values: Texts, bytes or whole numbers.
        output: Whether the model puts them out.
    """
    found = texts_of(values)
    bins = category_bins(found)
    return Reference(bins, bins.count_texts(found), output=output, once=seen_once(found))


def seen_once(found: Mapping[str, int]) -> int:
    """Categories of which there is one row."""
    return sum(1 for name, rows in found.items() if name and rows == 1)


class Learner:
    """Keeps the first values of features until there are enough.

    Args:
        rows: How many are enough.
        seconds: After this fewer are enough, too;
        least: at least so many.
    """

    def __init__(self, rows: int, seconds: float = math.inf, least: int = 1) -> None:
        self._rows = rows
        self._seconds = seconds
        self._least = least
        self._since = math.inf
        self._values: dict[str, list[NDArray[Any]]] = {}
        self._taken: dict[str, int] = {}
        self._outputs: set[str] = set()
        self._categorical: set[str] = set()

    def take(
        self,
        name: str,
        values: NDArray[Any],
        *,
        output: bool,
        categorical: bool,
        time: float = math.inf,
    ) -> None:
        """Keep values of a feature of this time, Unix seconds; no more than are enough."""
        self._since = min(self._since, time)
        taken = self._taken.get(name, 0)
        kept = values[: self._rows - taken]
        if len(kept):
            # A copy: a view would keep the whole frame that it came in.
            self._values.setdefault(name, []).append(kept.copy())
            self._taken[name] = taken + len(kept)
        if output:
            self._outputs.add(name)
        if categorical:
            self._categorical.add(name)

    @property
    def taken(self) -> dict[str, int]:
        """Rows so far, by name."""
        return dict(self._taken)

    def complete(self, now: float) -> bool:
        """Whether there are enough of some feature; some inputs may be left out of requests.

        Args:
            now: Unix seconds.
        """
        most = max(self._taken.values(), default=0)
        return most >= self._rows or (most >= self._least and now - self._since >= self._seconds)

    def references(self) -> dict[str, Reference]:
        """What was learnt; nothing of features seen in fewer than a tenth of the rows."""
        found = {}
        least = max(self._taken.values(), default=0) / 10
        for name, parts in self._values.items():
            if self._taken[name] < least:
                continue
            values = np.concatenate(parts)
            output = name in self._outputs
            if name in self._categorical:
                found[name] = category_reference(values.tolist(), output=output)
            else:
                found[name] = number_reference(values, output=output)
        return found

    def state(self) -> dict[str, Any]:
        """What must survive a restart, for msgpack."""
        return {
            name: {
                "values": self._packed(name, parts),
                "output": name in self._outputs,
                "categorical": name in self._categorical,
                "since": self._since,
            }
            for name, parts in self._values.items()
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with what `state` gave."""
        for name, one in state.items():
            packed = one["values"]
            if one["categorical"]:
                values: NDArray[Any] = np.empty(len(packed), object)
                values[:] = packed
            else:
                values = np.frombuffer(packed)
            self.take(
                name,
                values,
                output=one["output"],
                categorical=one["categorical"],
                time=one["since"],
            )

    def _packed(self, name: str, parts: list[NDArray[Any]]) -> Any:
        values = np.concatenate(parts)
        return (
            [text(one) for one in values.tolist()]
            if name in self._categorical
            else (values.astype(np.float64).tobytes())
        )
