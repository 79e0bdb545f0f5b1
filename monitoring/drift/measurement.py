"""How much the windows of a healthy feature vary, measured from their counts. Pure.

Each window is compared with the others. Where a cycle comes back, what differs between windows at
the same place of the cycle is measured beside the cycle itself.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from penstock.monitoring.probability import chi_square_survival

from .dependence import dependence
from .leave_one_out import leave_one_out
from .recurrence import compare_within, places, places_with_weekend, profile
from .variation import Variation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from .dependence import Dependence
    from .variation import Variations

#: Windows below which nothing is measured.
LEAST_WINDOWS: Final = 8
#: Variation less certain than this is taken for chance; each test of a feature may say so.
_CERTAIN: Final = 0.01
#: The same of what is left beside a cycle. A feature that seems to wander is not judged for long,
#: so of a hundred features with a cycle hardly one may.
_CERTAIN_BESIDE: Final = 1e-4


def measure(
    windows: Sequence[NDArray[np.int64]], exceptional: Sequence[bool], ordered: int = 0
) -> Variations:
    """How much windows vary.

    Args:
        windows: Counts of each over the same bins, in the order of time.
        exceptional: Which bins hold what should not be there.
        ordered: The first so many bins hold ascending numbers; 0 for categories.

    Returns:
        Empty if they vary as chance has it, or are fewer than `LEAST_WINDOWS`.
    """
    windows = [one for one in windows if one.sum()]
    if len(windows) < LEAST_WINDOWS:
        return {}
    together = np.stack(windows)
    table = leave_one_out(together, exceptional, ordered)
    if not any(_certain(rows) for rows in table.values()):
        return {}
    bound = dependence(together)
    made = {name: _variation(rows, bound) for name, rows in table.items()}
    if bound.period:
        return _cyclic(together, bound.period, made, exceptional, ordered)
    # What wanders further moves the tails more than in proportion.
    most = max(one.most for one in made.values())
    return {name: replace(one, most=most) for name, one in made.items()}


def _cyclic(
    windows: NDArray[np.int64],
    period: int,
    made: Variations,
    exceptional: Sequence[bool],
    ordered: int,
) -> Variations:
    """The variations of windows in a cycle, with what of them did not come back."""
    groups = places(len(windows), period)
    left = compare_within(windows, groups, ordered)
    if not _wanders(left):
        return made
    apart = places_with_weekend(windows, period)
    if apart is not None and not _wanders(compare_within(windows, apart, ordered)):
        return made
    bound = dependence(windows, groups)
    wander = max(_variation(rows, bound).most for rows in left.values())
    cycle = leave_one_out(profile(windows, groups), exceptional, ordered)
    return {
        name: replace(
            one,
            stretches=bound.stretches,
            memory=bound.memory,
            most=_variation(cycle[name], bound).most if name in cycle else one.most,
            wander=wander,
        )
        for name, one in made.items()
    }


def _wanders(left: Mapping[str, NDArray[np.float64]]) -> bool:
    """Whether windows at the same place of a cycle differ more than chance has it."""
    return any(_certain(rows, _CERTAIN_BESIDE) for rows in left.values())


def _certain(rows: NDArray[np.float64], level: float = _CERTAIN) -> bool:
    """Whether statistics are larger than chance has it: of each statistic and degrees."""
    value, degrees, _ = rows.T
    return (
        len(rows) >= LEAST_WINDOWS
        and chi_square_survival(float(value.sum()), float(degrees.sum())) <= level
    )


def _variation(rows: NDArray[np.float64], found: Dependence) -> Variation:
    """From statistic, degrees and effective rows of each window."""
    value, degrees, effective = rows.T
    away = (value - degrees) / effective
    mean = max(0.0, float(away.mean()))
    chance = float(((2 * degrees + 4 * mean * effective) / effective**2).mean())
    variance = max(0.0, float(away.var()) - chance)
    place = int(away.argmax())
    most = max(0.0, float(away[place]))
    if found.period:  # one of several like it, so its own noise is taken off
        noise = 2 * degrees[place] + 4 * most * effective[place]
        most = max(0.0, most - math.sqrt(noise) / float(effective[place]))
    memory = 0.0 if found.period else found.memory
    return Variation(mean, variance, found.stretches, memory, most, found.period)
