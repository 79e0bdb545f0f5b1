"""A provisional baseline becomes the baseline: the windows of its first week are its counts. Pure.

The bins were chosen by rows before these windows, so that counts and later windows are alike (see
`halves`). The same windows show how much healthy ones vary.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from .measurement import LEAST_WINDOWS, measure
from .moments import Moments

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .baseline import Reference
    from .options import DriftOptions
    from .window import Window


#: Seconds; a day later windows are merged into days.
_LONG: Final = 12 * 86_400.0


def spanned(windows: Sequence[Window]) -> float:
    """Seconds from the first window to the last."""
    return max(one.end for one in windows) - windows[0].start if windows else 0.0


def flooded(window: Window) -> bool:
    """Whether a closed window is of one client's flood, from which nothing is learnt."""
    flood = window.notes.get("flood")
    return flood is not None and not flood["lasting"]


def enough(windows: Sequence[Window], options: DriftOptions) -> bool:
    """True if windows show a whole week, or the time that the operator takes for one.

    A model with few rows has a window a day: after two weeks `LEAST_WINDOWS` are enough.
    """
    return is_enough(len(windows), spanned(windows), options)


def is_enough(windows: int, seconds: float, options: DriftOptions) -> bool:
    """The same by the number of windows and their time."""
    least = LEAST_WINDOWS if seconds >= _LONG else options.calibration_windows
    return windows >= least and seconds >= options.baseline_seconds - options.window_seconds


def settled(references: Mapping[str, Reference], windows: Sequence[Window]) -> dict[str, Reference]:
    """The references, those that were provisional with the counts of these windows.

    Args:
        references: By name.
        windows: Counted over their bins, in the order of time; none that is too small.
    """
    return {name: _settled(name, one, windows) for name, one in references.items()}


def _settled(name: str, reference: Reference, windows: Sequence[Window]) -> Reference:
    if not reference.provisional:
        return reference
    size = (reference.bins.size,)
    windows = [one for one in windows if not flooded(one)] or windows
    counts = [one.counts[name] for one in windows if name in one.counts]
    counts = [one for one in counts if one.shape == size]
    if not counts:
        return replace(reference, provisional=False)
    moments = Moments()
    for one in windows:
        moments = moments.merged(one.moments.get(name, Moments()))
    bins = reference.bins
    return replace(
        reference,
        counts=np.sum(counts, axis=0),
        moments=moments,
        variations=measure(counts, bins.exceptional, bins.ordered),
        provisional=False,
    )
