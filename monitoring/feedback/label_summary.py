"""The labels of one version in a few values, and in words. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .change_detector import ALARM
from .intervals import FEWEST_UNITS, Estimate
from .label_rows import newest_of, units_of
from .outputs import CLASSIFICATION
from .performance import accuracy, mean_absolute_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: States of the labels of a version.
TOO_FEW, FALLING, DOUBTFUL, STEADY = "too few", "falling", "cannot tell", "steady"
#: Fewer comparable labels have no figure.
FEWEST: Final = FEWEST_UNITS
_STEPS: Final = ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"))
_NAMES: Final = {"mae": "mean absolute error"}


@dataclass(frozen=True, slots=True)
class LabelSummary:
    """The labels of one version.

    Attributes:
        state: `TOO_FEW`, `FALLING` while its alarm is open, `DOUBTFUL` where labels are given
            otherwise than before, or `STEADY`.
        labels: Number of labels on the disk.
        not_comparable: Number of those that say nothing of their prediction.
        figure: ``accuracy`` or ``mae``; of the latest labels.
        estimate: Its value and 95 % interval; ``None`` with fewer than `FEWEST` labels.
        last: Unix seconds at which the newest label was received.
        doubt: Reason for which nobody can tell whether the version is worse; empty if somebody can.
    """

    state: str = TOO_FEW
    labels: int = 0
    not_comparable: int = 0
    figure: str = ""
    estimate: Estimate | None = field(default=None)
    last: float = 0.0
    doubt: str = ""

    def to_json(self) -> dict[str, Any]:
        """The summary as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> LabelSummary:
        """The reverse of `to_json`."""
        found = content["estimate"]
        return cls(**{**content, "estimate": None if found is None else Estimate(**found)})


def estimate_of(
    kind: str, rows: Sequence[Sequence[Any]], largest_error: float | None
) -> tuple[str, Estimate | None]:
    """The main figure of labels with its interval, as ``penstock performance`` has it.

    Args:
        kind: ``classification`` or ``regression``.
        rows: Of each label the key of its prediction, its time in Unix seconds, whether it is
            right, its loss, its unit and its request id.
        largest_error: Largest absolute error that is possible; ``None`` if it is not known.

    Returns:
        The name of the figure, and ``None`` with fewer than `FEWEST` labels.
    """
    name = "accuracy" if kind == CLASSIFICATION else "mae"
    keys, times = np.array([one[0] for one in rows], np.int64), np.array([one[1] for one in rows])
    chosen = newest_of(keys, times).tolist()
    if len(chosen) < FEWEST:
        return name, None
    units = units_of([(rows[place][4], rows[place][4] or rows[place][5]) for place in chosen])
    right, loss = (np.array([rows[place][at] for place in chosen], float) for at in (2, 3))
    if kind == CLASSIFICATION:
        return name, accuracy(right, units)
    return name, mean_absolute_error(loss, units, largest_error)


def state_of(estimate: Estimate | None, change: str, doubt: str) -> str:
    """The state of the labels of a version.

    Args:
        estimate: Its main figure.
        change: State of its change test.
        doubt: As `LabelSummary.doubt`.
    """
    if change == ALARM:
        return FALLING
    if doubt:
        return DOUBTFUL
    return TOO_FEW if estimate is None else STEADY


def label_words(found: LabelSummary | None, now: float) -> str:
    """The labels in a few words, for people.

    Args:
        found: ``None`` without a label.
        now: Unix seconds.
    """
    if found is None or not found.labels:
        return "none"
    usable = found.labels - found.not_comparable
    last = f"last {_ago(now - found.last)} ago" if found.last else ""
    if not usable:
        return f"{_count(found.labels)}, none comparable with its prediction"
    if found.estimate is None:
        words = [f"too few: {_count(usable)}, {FEWEST} needed"]
    else:
        words = [f"{_NAMES.get(found.figure, found.figure)} {_figure(found.estimate)}"]
        words.append(_count(usable))
    told = ", ".join(filter(None, [*words, last]))
    if found.state == FALLING:
        return f"falling: {told}"
    return f"{told}; cannot tell: {found.doubt}" if found.state == DOUBTFUL else told


def _count(labels: int) -> str:
    return "1 label" if labels == 1 else f"{labels:,} labels"


def _figure(found: Estimate) -> str:
    value = f"{found.value:.3g}"
    return value if found.low is None else f"{value} ({found.low:.3g}-{found.high:.3g})"


def _ago(seconds: float) -> str:
    """How long ago, in the largest unit that fits."""
    for size, unit in _STEPS:
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
