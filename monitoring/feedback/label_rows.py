"""Which label of a prediction counts, and which labels belong together. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from numpy.typing import NDArray

    from .intervals import Units


def newest_of(keys: NDArray[np.int64], times: NDArray[np.float64]) -> NDArray[np.int64]:
    """The places of the labels that count: of several sources, the newest label of a prediction.

    Args:
        keys: Key of the prediction of each label.
        times: Unix seconds of each label.
    """
    order = np.lexsort((times, keys))
    last = np.ones(len(order), dtype=bool)
    last[:-1] = keys[order][:-1] != keys[order][1:]
    return np.sort(order[last])


def units_of(names: Sequence[Hashable]) -> Units:
    """A number for each different name; ``None`` if all are different."""
    numbers: dict[Hashable, int] = {}
    found = [numbers.setdefault(name, len(numbers)) for name in names]
    return None if len(numbers) == len(found) else np.array(found, np.int64)
