"""Rows that come again and again: retries of one request, a client that sends one row. Pure.

Counted as often as they come, such rows look like drift. A window with unusually many of them is
judged twice: by all rows, and by its distinct rows, each counted once. The lower level holds. Rows
that repeat in healthy windows, too, as those of few categories do, are no reason to do so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .moments import moments_of
from .window import Window

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .baseline import Reference
    from .row_sample import RowSample

#: Healthy windows whose share of repeated rows is remembered, the last ones, and the fewest.
_MOST_REMEMBERED: Final = 512
_LEAST_REMEMBERED: Final = 3
_USUAL: Final = 0.9
#: The share of repeated rows is unusual if it is so much above the usual one,
_MORE: Final = 0.05
#: and rows repeat by themselves if the usual one is larger.
_BY_THEMSELVES: Final = 0.2
#: Distinct rows below which a window is judged by all rows: a flood takes no other rows away.
LEAST_DISTINCT: Final = 50


@dataclass(frozen=True, slots=True)
class Repeats:
    """Repeated rows of a window.

    Attributes:
        share: Rows that are equal to an earlier one of the window, as a share of all.
        often: The same for the row that came most often.
        usual: What `share` is at most in nine of ten windows.
    """

    share: float
    often: float
    usual: float

    def to_dict(self) -> dict[str, float]:
        """For msgpack and JSON."""
        return {"share": self.share, "often": self.often, "usual": self.usual}


class RepeatHistory:
    """The share of repeated rows in windows that were not flooded."""

    def __init__(self, shares: Sequence[float] = ()) -> None:
        self._shares = list(shares)

    def look(self, sample: RowSample) -> Repeats | None:
        """Take the next window; its repeated rows if there are unusually many."""
        if not sample.rows:
            return None
        share = max(0.0, 1.0 - sample.distinct / sample.rows)
        enough = len(self._shares) >= _LEAST_REMEMBERED
        usual = float(np.quantile(self._shares, _USUAL)) if enough else 1.0
        if usual > _BY_THEMSELVES or share <= usual + _MORE:
            self._shares = [*self._shares, share][-_MOST_REMEMBERED:]
            return None
        if sample.distinct < LEAST_DISTINCT:
            return None
        return Repeats(share, sample.most_often / sample.rows, usual)

    def to_list(self) -> list[float]:
        """For msgpack."""
        return self._shares


def counted_once(window: Window, sample: RowSample, references: Mapping[str, Reference]) -> Window:
    """The window with each of its distinct rows counted once; of many, a sample of them."""
    once = Window(window.start, window.end, len(sample.hashes))
    for place, name in enumerate(sample.names):
        reference = references.get(name)
        if reference is None or name not in window.counts:
            continue
        values = sample.values[:, place]
        if reference.categorical:
            missing = np.isnan(values)
            bins = np.where(missing, reference.bins.size - 1, values).astype(np.int64)
            once.counts[name] = np.bincount(bins, minlength=reference.bins.size)
        else:
            once.counts[name] = reference.bins.count(values)
            once.moments[name] = moments_of(values)
    return once


def words(repeats: Mapping[str, Any]) -> str:
    """Repeated rows as a sentence for people.

    Args:
        repeats: As `Repeats.to_dict` gives them.
    """
    found = f"{100 * repeats['share']:.0f} % of the rows repeat others"
    if repeats["often"] >= _MORE:
        found += f", {100 * repeats['often']:.0f} % are one and the same row"
    return f"{found} (usual: up to {100 * repeats['usual']:.0f} %)"
