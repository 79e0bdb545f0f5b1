"""Windows that somebody accepts become the baseline: their counts take the place of its own. Pure.

The bins were chosen by rows before these windows, so the rows of the windows and those of later
windows have the same law while nothing changes (see `halves`). Bins that the windows left say
nothing of later rows, though: a feature of such bins is left out, and is learnt anew from live
rows. Which windows are healthy is known only now, so how much they vary is measured on the windows
that follow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from .bins import QUANTILE_BINS, TAIL, NumberBins
from .moments import Moments

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .baseline import Reference
    from .bins import Counts
    from .window import Window

#: Share of the rows below, above or new from which on the bins do not tell the rows apart: that of
#: one bin of the baseline.
_MOST_OUTSIDE: Final = 1 / QUANTILE_BINS
#: Share of the rows in one bin of several from which on they do not.
_MOST_IN_ONE: Final = 0.5


@dataclass(frozen=True, slots=True)
class AcceptedReferences:
    """The references that result from accepted windows.

    Attributes:
        references: References by name, with the counts of the windows.
        learnt_anew: Features that are left out, because the bins do not fit them any more.
        rows: Rows of the windows.
    """

    references: Mapping[str, Reference]
    learnt_anew: tuple[str, ...]
    rows: int


def accepted_references(
    references: Mapping[str, Reference], windows: Sequence[Window]
) -> AcceptedReferences:
    """The references with the counts of windows.

    Args:
        references: By name. Those that no window counts stay as they are.
        windows: Counted over their bins, in any order.
    """
    kept: dict[str, Reference] = {}
    left_out: list[str] = []
    for name, one in references.items():
        mine = [window for window in windows if _counts(window, name).shape == (one.bins.size,)]
        if not mine:
            kept[name] = one
            continue
        counts: Counts = np.sum([window.counts[name] for window in mine], axis=0)
        if _resolves(one, counts):
            kept[name] = _accepted(name, one, counts, mine)
        else:
            left_out.append(name)
    return AcceptedReferences(kept, tuple(left_out), sum(one.rows for one in windows))


def _counts(window: Window, name: str) -> Counts:
    return window.counts.get(name, np.empty(0, np.int64))


def _resolves(reference: Reference, counts: Counts) -> bool:
    """Whether the bins of a reference still tell the rows of windows apart."""
    present = counts[:-1].sum()  # the last bins hold what is missing or invalid
    bins = reference.bins
    if not isinstance(bins, NumberBins):
        return bool(counts[-2] <= _MOST_OUTSIDE * max(1, present))
    ordered = counts[: bins.ordered]
    total = max(1, int(ordered.sum()))
    if max(ordered[0], ordered[-1]) > max(_MOST_OUTSIDE, 2 * TAIL) * total:
        return False
    was = reference.counts[: bins.ordered]
    widest = int(ordered.argmax())
    several = len(bins.edges) > QUANTILE_BINS
    grown = ordered[widest] > _MOST_IN_ONE * total >= was[widest] * total / max(1, was.sum())
    return not (several and grown)


def _accepted(
    name: str, reference: Reference, counts: Counts, windows: Sequence[Window]
) -> Reference:
    moments = Moments()
    for one in windows:
        moments = moments.merged(one.moments.get(name, Moments()))
    limits = reference.limits
    if limits and moments.number:  # each value of the windows is an ordinary one now
        limits = min(limits[0], moments.least), max(limits[1], moments.most)
    return replace(
        reference,
        counts=counts,
        moments=moments,
        variations=None,
        limits=limits,
        fitted=0,
        provisional=False,
    )
