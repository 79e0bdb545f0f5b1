"""Finds a change in the way labels are given. Pure.

If as many predictions more or fewer are labelled as their share of bad ones would explain, a share
that has grown says nothing about the version.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from .reference import CELLS, HOUR, HOURS

if TYPE_CHECKING:
    from .outputs import Floats

#: Fewer labels are expected of the time since a change: nothing is said of the labelling.
FEWEST: Final = 30.0
#: Standard errors that the number of labels must differ by.
SURE: Final = 3.3
#: So many times more, or fewer, must be labelled; where the number of predictions is not known,
#: the number of labels differs with that of the predictions, too.
LEAST: Final = 1.2
LEAST_UNKNOWN: Final = 1.5
#: The labelling may have changed so many days before votes began to look worse.
SCANNED_DAYS: Final = 28
SCAN_HOURS: Final = 12
#: Of what was before, so many hours must be known.
LEAST_BEFORE_HOURS: Final = 72.0


class HourlyLabels(NamedTuple):
    """The labels of a version by the hour of their prediction.

    Attributes:
        hours: Number of each hour since 1970.
        labelled: Labels of the predictions of each hour that came in time.
        made: Predictions of each hour; ``None`` where nobody knows.
    """

    hours: Floats
    labelled: Floats
    made: Floats | None


def labelling_change(found: HourlyLabels, begun: float) -> str:
    """The change of the labelling in words; empty if there is none, or too little is known.

    The labelling may have changed before votes look worse, or a little later: each half day of the
    last weeks is tried.

    Args:
        found: Whole hours, before and after, in order.
        begun: Unix seconds from when on votes look worse.
    """
    if not len(found.hours):
        return ""
    made = np.ones(len(found.hours)) if found.made is None else found.made
    first = float(found.hours[0]) + LEAST_BEFORE_HOURS
    moments = np.arange(begun // HOUR - HOURS * SCANNED_DAYS, found.hours[-1], SCAN_HOURS)
    tried = [_compare(found, made, float(one)) for one in moments[moments >= first]]
    splits = [one for one in tried if one is not None]
    if not splits:
        return ""
    error, ratio = max(splits, key=lambda one: one[0])
    least = LEAST if found.made is not None else LEAST_UNKNOWN
    if 1 / least < ratio < least or error < SURE:
        return ""
    if found.made is None:
        return f"there are {ratio:.2f} times as many labels as before"
    return f"{ratio:.2f} times as many of the predictions are labelled as before"


def _compare(found: HourlyLabels, made: Floats, moment: float) -> tuple[float, float] | None:
    """Labels after an hour: standard errors from what was before, and the ratio to that."""
    later, earlier = found.hours > moment, found.hours < moment
    made_before, labelled_before = made[earlier].sum(), found.labelled[earlier].sum()
    if not made_before or not labelled_before:
        return None
    cells = found.hours.astype(np.int64) % CELLS
    known = np.bincount(cells[earlier], made[earlier], CELLS)
    named = np.bincount(cells[earlier], found.labelled[earlier], CELLS)
    overall = labelled_before / made_before
    share = np.divide(named, known, out=np.full(CELLS, overall), where=known > 0)
    expected = float((made[later] * share[cells[later]]).sum())
    labels = float(found.labelled[later].sum())
    if max(expected, labels) < FEWEST or not expected:
        return None
    base = max(1.0, float(named[np.unique(cells[later])].sum()))
    days = _between_days(found.hours[earlier], made[earlier], found.labelled[earlier], overall)
    spread = expected * (1 + expected / base) * days
    return abs(labels - expected) / math.sqrt(max(spread, 1.0)), labels / expected


def _between_days(hours: Floats, made: Floats, labelled: Floats, share: float) -> float:
    """How much more the number of labels differs between days than chance explains."""
    days = (hours // HOURS - hours[0] // HOURS).astype(np.int64)
    expected = np.bincount(days, made) * share
    labels = np.bincount(days, labelled)[expected > 0]
    expected = expected[expected > 0]
    if len(expected) < 3:  # noqa: PLR2004  two days show no spread
        return 1.0
    return max(1.0, float(((labels - expected) ** 2 / expected).sum()) / (len(expected) - 1))
