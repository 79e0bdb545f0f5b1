"""Fixed bins of one feature, and the counting of values into them.

Numbers: ``below | about ten bins | above | missing | invalid``. The inner bins hold equal shares
of the baseline; *below* and *above* are what lies outside its middle 99.8 %, so that one outlier in
the training data does not define the range. A feature with few distinct values has one bin for
each. NaN is missing, infinity invalid.

Categories: ``the most frequent | OTHER | NEW | missing``. OTHER was seen in the baseline but is
rare; NEW was never seen. An empty text is missing.

Counts over the same bins are added to merge windows; nothing is estimated.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Counts = NDArray[np.int64]

QUANTILE_BINS: Final = 20
#: Up to so many distinct values each have a bin of their own.
MOST_DISTINCT: Final = 20
#: Shares outside the bins, below and above.
TAIL: Final = 0.001
MOST_CATEGORIES: Final = 50
#: Categories that are known but rare; with more of them, nothing is called new.
MOST_KNOWN: Final = 1000
#: Characters of a category that are kept.
MOST_CHARACTERS: Final = 64

#: Beyond it, edges are of no use, and arithmetic overflows.
_LARGEST: Final = 1e300

_NUMBER_ENDINGS: Final = ("missing", "invalid")
_CATEGORY_ENDINGS: Final = ("OTHER", "NEW", "missing")


@dataclass(frozen=True, slots=True)
class NumberBins:
    """Bins of numbers.

    Attributes:
        edges: Ascending; a value equal to an edge belongs above it.
    """

    edges: tuple[float, ...]

    @property
    def size(self) -> int:
        """Number of bins, all endings included."""
        return len(self.edges) + 1 + len(_NUMBER_ENDINGS)

    @property
    def ordered(self) -> int:
        """The number of bins that ascend; they are the first ones."""
        return self.size - len(_NUMBER_ENDINGS)

    @property
    def exceptional(self) -> tuple[bool, ...]:
        """Below, above, missing and invalid."""
        inner = len(self.edges) - 1
        return (True, *[False] * inner, *[True] * (self.size - 1 - inner))

    @property
    def labels(self) -> list[str]:
        """The content of each bin, as text for people."""
        edges = [f"{edge:.4g}" for edge in self.edges]
        inner = [f"{low} to {high}" for low, high in pairwise(edges)]
        return [f"below {edges[0]}", *inner, f"{edges[-1]} and above", *_NUMBER_ENDINGS]

    def count(self, values: NDArray[np.float64]) -> Counts:
        """Count values."""
        return np.bincount(self.places(values), minlength=self.size)

    def places(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """The bin of each value."""
        values = values.astype(np.float64, copy=False)
        places = np.searchsorted(np.asarray(self.edges), values, side="right").astype(np.int64)
        last = len(self.edges)
        # Infinity and NaN land at the ends; only there is a second look needed.
        if not np.isfinite(values).all():
            places[np.isnan(values)] = last + 1
            places[np.isinf(values)] = last + 2
        return places


@dataclass(frozen=True, slots=True)
class CategoryBins:
    """Bins of categories.

    Attributes:
        categories: Those with a bin of their own, the most frequent first.
        known: The others of the baseline.
        open: Whether the baseline had too many to know them all; then none is new.
    """

    categories: tuple[str, ...]
    known: frozenset[str] = frozenset()
    open: bool = False
    _places: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        places = {name: place for place, name in enumerate(self.categories)}
        other = len(places)
        places |= dict.fromkeys(self.known, other)
        places[""] = other + 2
        object.__setattr__(self, "_places", places)

    @property
    def size(self) -> int:
        """Number of bins, all endings included."""
        return len(self.categories) + len(_CATEGORY_ENDINGS)

    @property
    def ordered(self) -> int:
        """None of the bins ascend."""
        return 0

    @property
    def exceptional(self) -> tuple[bool, ...]:
        """New and missing."""
        return (*[False] * (len(self.categories) + 1), True, True)

    @property
    def labels(self) -> list[str]:
        """The content of each bin, as text for people."""
        return [*self.categories, *_CATEGORY_ENDINGS]

    def count(self, values: Iterable[Any]) -> Counts:
        """Count values: texts, bytes or whole numbers."""
        return self.count_texts(texts_of(values))

    def places(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """The bin of each value."""
        listed = values.tolist()
        unknown = len(self.categories) + (0 if self.open else 1)
        known = {one: self._places.get(text(one), unknown) for one in set(listed)}
        return np.fromiter((known[one] for one in listed), np.int64, len(listed))

    def count_texts(self, found: Mapping[str, int]) -> Counts:
        """Count categories as `texts_of` gives them."""
        counts = np.zeros(self.size, np.int64)
        for name, number in found.items():
            counts[self.place(name)] += number
        return counts

    def place(self, name: str) -> int:
        """The bin of a category as `text` gives it."""
        return self._places.get(name, len(self.categories) + (0 if self.open else 1))

    def new(self, found: Iterable[str]) -> list[str]:
        """Those that were never seen; none if there were too many to know them all."""
        return [] if self.open else [name for name in found if name not in self._places]


Bins = NumberBins | CategoryBins


def text(value: Any) -> str:
    """A category as text; empty if it is missing."""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    elif value is None or value != value:  # noqa: PLR0124  NaN
        return ""
    return str(value)[:MOST_CHARACTERS]


def texts_of(values: Iterable[Any]) -> dict[str, int]:
    """Rows of each category."""
    found: dict[str, int] = {}
    for value, number in Counter(values).items():
        name = text(value)
        found[name] = found.get(name, 0) + number
    return found


def number_bins(values: NDArray[np.float64]) -> NumberBins:
    """Bins for numbers like these; any that are not finite are left out."""
    finite = np.clip(values[np.isfinite(values)], -_LARGEST, _LARGEST)
    if not finite.size:
        return NumberBins((0.0,))
    distinct = np.unique(finite)
    if distinct.size <= MOST_DISTINCT:
        return NumberBins(_between(distinct))
    shares = np.linspace(0, 1, QUANTILE_BINS + 1)
    shares[0], shares[-1] = TAIL, 1 - TAIL
    edges = np.quantile(finite, shares)
    edges[-1] = np.nextafter(edges[-1], np.inf)
    return NumberBins(tuple(np.unique(edges).tolist()))


def category_bins(found: Mapping[str, int]) -> CategoryBins:
    """Bins for categories seen so often."""
    ranked = sorted((name for name in found if name), key=lambda name: (-found[name], name))
    rest = ranked[MOST_CATEGORIES:]
    return CategoryBins(
        tuple(ranked[:MOST_CATEGORIES]), frozenset(rest[:MOST_KNOWN]), len(rest) > MOST_KNOWN
    )


def to_json(bins: Bins) -> dict[str, Any]:
    """Bins as JSON."""
    if isinstance(bins, NumberBins):
        return {"edges": list(bins.edges)}
    return {"categories": list(bins.categories), "known": sorted(bins.known), "open": bins.open}


def from_json(content: Mapping[str, Any]) -> Bins:
    """The reverse of `to_json`.

    Raises:
        ValueError: It is something else.
    """
    try:
        if "edges" in content:
            edges = tuple(float(edge) for edge in content["edges"])
            if not edges or not all(np.isfinite(edges)) or list(edges) != sorted(set(edges)):
                raise ValueError(f"the edges {edges} do not ascend")
            return NumberBins(edges)
        names = _texts(content["categories"])
        return CategoryBins(names, frozenset(_texts(content["known"])), content["open"] is True)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not bins: {error!r}") from error


def _texts(names: Sequence[Any]) -> tuple[str, ...]:
    return tuple(map(str, names))


def _between(distinct: NDArray[np.float64]) -> tuple[float, ...]:
    """Edges that give each value a bin of its own, and what lies beyond none of them."""
    inner = (distinct[:-1] + distinct[1:]) / 2
    gap = float(np.diff(distinct).min()) if distinct.size > 1 else 1.0
    low, high = distinct[0] - gap / 2, distinct[-1] + gap / 2
    edges = np.unique([low, *inner, high])
    if edges.size < 2:  # noqa: PLR2004  a value so large that its neighbours are itself
        edges = np.array([distinct[0], np.nextafter(distinct[0], np.inf)])
    return tuple(edges.tolist())
