"""Windows that somebody accepts become the baseline: their counts take the place of its own. Pure.

The bins were chosen by rows before these windows, so the rows of the windows and those of later
windows have the same law while nothing changes (see `halves`). Bins that the windows left say
nothing of later rows, though: a feature of such bins is left out, and is learnt anew from live
rows. Windows that show a whole week also teach how much healthy windows vary, as those of a learnt
baseline do. Fewer do not: the variation is measured on the windows that follow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from .bins import QUANTILE_BINS, TAIL, NumberBins
from .measurement import measure
from .moments import Moments
from .settling import enough
from .variation import known

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .baseline import Reference
    from .bins import Counts
    from .options import DriftOptions
    from .variation import Variations
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
    references: Mapping[str, Reference], windows: Sequence[Window], options: DriftOptions
) -> AcceptedReferences:
    """The references with the counts of windows.

    Args:
        references: By name. Those that no window counts stay as they are.
        windows: Counted over their bins, in any order.
        options: The number of windows and the time that teach how much healthy windows vary.
    """
    windows = sorted(windows, key=lambda one: one.start)
    kept: dict[str, Reference] = {}
    left_out: list[str] = []
    for name, one in references.items():
        mine = [window for window in windows if _counts(window, name).shape == (one.bins.size,)]
        if not mine:
            kept[name] = one
            continue
        counts: Counts = np.sum([window.counts[name] for window in mine], axis=0)
        if _resolves(one, counts):
            kept[name] = _accepted(name, one, counts, mine, options)
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
    name: str,
    reference: Reference,
    counts: Counts,
    windows: Sequence[Window],
    options: DriftOptions,
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
        variations=_variations(name, reference, windows, options),
        limits=limits,
        fitted=0,
        provisional=False,
    )


def _variations(
    name: str, reference: Reference, windows: Sequence[Window], options: DriftOptions
) -> Variations | None:
    """How much the windows vary; ``None`` if they are too few to tell, or of several arms."""
    if not options.calibration_windows or not enough(windows, options):
        return None
    if any(after.start < one.end for one, after in pairwise(windows)):
        return None
    bins = reference.bins
    found = measure([one.counts[name] for one in windows], bins.exceptional, bins.ordered)
    return found if known(found) else None


def calibrating_until(found: AcceptedReferences, options: DriftOptions, now: float) -> float | None:
    """The earliest time at which all features are compared as closely as before.

    Args:
        found: The references of the new baseline.
        options: Options of the model.
        now: Unix seconds.

    Returns:
        Unix seconds; ``None`` if the next window is compared so.
    """
    if found.learnt_anew:
        return now + options.learning_seconds + options.baseline_seconds
    taught = all(one.variations is not None for one in found.references.values())
    if taught or not options.calibration_windows:
        return None
    return now + max(options.window_seconds, options.baseline_seconds - options.window_seconds)
