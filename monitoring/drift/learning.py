"""A baseline out of values: of the first live rows, or of a sample of a file. Bounded."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .baseline import Reference
from .bins import category_bins, number_bins, text
from .moments import moments_of

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    bins = category_bins(Counter(map(text, values)))
    return Reference(bins, bins.count(values), output=output)


class Learner:
    """Keeps the first values of features until there are enough.

    Args:
        rows: How many are enough.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._values: dict[str, list[NDArray[Any]]] = {}
        self._taken: dict[str, int] = {}
        self._outputs: set[str] = set()
        self._categorical: set[str] = set()

    def take(self, name: str, values: NDArray[Any], *, output: bool, categorical: bool) -> None:
        """Keep values of a feature; no more than are enough."""
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

    @property
    def complete(self) -> bool:
        """Whether there are enough of some feature; some inputs may be left out of requests."""
        return max(self._taken.values(), default=0) >= self._rows

    def references(self) -> dict[str, Reference]:
        """What was learnt; nothing of features seen in fewer than a tenth of the rows."""
        found = {}
        for name, parts in self._values.items():
            if self._taken[name] < self._rows / 10:
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
            self.take(name, values, output=one["output"], categorical=one["categorical"])

    def _packed(self, name: str, parts: list[NDArray[Any]]) -> Any:
        values = np.concatenate(parts)
        return (
            [text(one) for one in values.tolist()]
            if name in self._categorical
            else (values.astype(np.float64).tobytes())
        )
