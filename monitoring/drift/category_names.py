"""The names of categories that a model numbers: the label 1 is counted as ``benign``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .bins import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray


class CategoryNames:
    """The features whose categories are counted by name.

    A feature that an earlier release learnt by numbers goes on with them: its reference has no
    other categories. Names that look like numbers of categories are not used, so a reference tells
    for certain how the feature was learnt.

    Args:
        names: By feature, the names in the order of the numbers, from 0.
    """

    def __init__(self, names: Mapping[str, Sequence[str]]) -> None:
        self._names = {feature: own for feature, own in names.items() if _tell_apart(own)}
        self._numbered: set[str] = set()

    def learnt(self, feature: str, categories: Iterable[str]) -> None:
        """These categories of a feature were learnt before."""
        if _numbers(self._names.get(feature, ())).intersection(categories):
            self._numbered.add(feature)

    def named(self, feature: str, values: NDArray[Any]) -> NDArray[Any]:
        """Values of a feature, by name where they are numbered; others are given back as they are.

        Args:
            feature: The name of the feature.
            values: A number that has no name stays a number, as text.
        """
        names = self._names.get(feature)
        if names is None or feature in self._numbered or values.dtype.kind not in "iu":
            return values
        known = dict(enumerate(name.encode() for name in names))
        found = np.empty(len(values), object)
        found[:] = [known.get(one) or str(one).encode() for one in values.tolist()]
        return found


def _numbers(names: Sequence[str]) -> set[str]:
    return set(map(str, range(len(names))))


def _tell_apart(names: Sequence[str]) -> bool:
    kept: Iterable[str] = map(text, names)
    return "" not in names and len({*kept}) == len(names) and not _numbers(names) & {*names}
