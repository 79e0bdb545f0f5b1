"""Streams of rows for drift rules: half a month without a change, and days after a change.

A window is an hour with 500 rows of three columns; a baseline is a week. The first column is the
one that changes, but for `Kind.RELATION` and `Kind.FLOOD`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

COLUMNS: Final = 3
ROWS: Final = 500
DAY: Final = 24
WEEK: Final = 7 * DAY
HALF_MONTH: Final = 15 * DAY
#: Windows before a change, and after it.
BEFORE: Final = DAY // 2
AFTER: Final = DAY
WORDS: Final = 2000
_ZIPF: Final = 1.2
_MEMORY: Final = 0.9
_WANDERS: Final = 0.5
_FLOOD: Final = 0.4


class Kind(StrEnum):
    """What the rows are like, and what changes."""

    INDEPENDENT = "independent rows"
    TEXT = "Zipf words"
    CYCLES = "days and weekends"
    MEMORY = "AR(1)"
    RELATION = "lost relation"
    FLOOD = "one client floods"


#: What changes in the trials of each kind.
CHANGES: Final[dict[Kind, str]] = {
    Kind.INDEPENDENT: "0.5 sd",
    Kind.TEXT: "most frequent word renamed",
    Kind.CYCLES: "1 sd",
    Kind.MEMORY: "2 sd",
    Kind.RELATION: "correlation 0.8 lost",
    Kind.FLOOD: "no drift: 40 % of the rows are one client's",
}


@dataclass(frozen=True, slots=True)
class Traffic:
    """Rows of one model.

    Attributes:
        kind: Of the rows.
        week: The baseline, windows x columns x rows. Words are numbers from 0 to `WORDS`; the one
            that is renamed becomes `WORDS`.
        healthy: Half a month after it without a change, windows x columns x rows.
        trials: Trials x windows x columns x rows: `BEFORE` healthy windows, then `AFTER` others.
        starts: Place in time of the first window of each trial; 0 is the start of the baseline.
        clients: Trials x windows x rows: the number of the client of each row.
    """

    kind: Kind
    week: NDArray[Any]
    healthy: NDArray[Any]
    trials: NDArray[Any]
    starts: tuple[int, ...]
    clients: NDArray[np.int64]

    @property
    def baseline(self) -> NDArray[Any]:
        """All rows of the baseline: columns x rows."""
        return self.week.transpose(1, 0, 2).reshape(COLUMNS, -1)


class Source:
    """Draws rows of a kind; cycles keep their size and phase.

    Args:
        kind: Of the rows.
        seed: Of all that is drawn.
    """

    def __init__(self, kind: Kind, seed: int) -> None:
        self._kind = kind
        self._random = np.random.default_rng([seed, list(Kind).index(kind)])
        self._size = self._random.uniform(0.2, 0.8, (COLUMNS, 1))
        self._phase = self._random.uniform(0.0, 2 * np.pi, (COLUMNS, 1))
        shares = np.arange(1, WORDS + 1) ** -_ZIPF
        self._words = np.cumsum(shares / shares.sum())

    def windows(self, first: int, number: int) -> NDArray[Any]:
        """Windows without a change: windows x columns x rows.

        Args:
            first: Place of the first in time; 0 is the start of the baseline.
            number: Of windows.
        """
        shape = (number, COLUMNS, ROWS)
        if self._kind is Kind.TEXT:
            drawn = np.searchsorted(self._words, self._random.random(shape))
            return drawn.clip(0, WORDS - 1).astype(np.int64)
        values = self._random.standard_normal(shape)
        if self._kind is Kind.RELATION:
            values[:, 1] = 0.8 * values[:, 0] + 0.6 * values[:, 1]
        elif self._kind in {Kind.CYCLES, Kind.MEMORY}:
            times = first + np.arange(number)
            levels = self._cycles(times) if self._kind is Kind.CYCLES else self._memory(number)
            values += levels.T[:, :, None]
        return values

    def trial(self) -> tuple[int, NDArray[Any], NDArray[np.int64]]:
        """Place in time, healthy windows and then changed ones, and the client of each row."""
        first = WEEK + HALF_MONTH + int(self._random.integers(0, WEEK))
        values = self.windows(first, BEFORE + AFTER)
        changed = values[BEFORE:]
        clients = self._random.integers(0, 50, (BEFORE + AFTER, ROWS))
        if self._kind is Kind.INDEPENDENT:
            changed[:, 0] += 0.5
        elif self._kind is Kind.TEXT:
            changed[:, 0][changed[:, 0] == 0] = WORDS
        elif self._kind is Kind.CYCLES:
            changed[:, 0] += 1.0
        elif self._kind is Kind.MEMORY:
            changed[:, 0] += 2.0
        elif self._kind is Kind.RELATION:
            changed[:, 1] = self._random.permuted(changed[:, 1], axis=1)
        else:
            mine = self._random.random((AFTER, ROWS)) < _FLOOD
            clients[BEFORE:][mine] = 99
            changed += 1.5 * mine[:, None]
        return first, values, clients

    def _cycles(self, times: NDArray[np.int64]) -> Floats:
        weekend = times // 24 % 7 >= 5  # noqa: PLR2004  Saturday and Sunday
        found: Floats = self._size * np.sin(2 * np.pi * times / 24 + self._phase) + 0.5 * weekend
        return found

    def _memory(self, hours: int) -> Floats:
        found = self._random.standard_normal((COLUMNS, hours))
        for hour in range(1, hours):
            found[:, hour] *= np.sqrt(1 - _MEMORY**2)
            found[:, hour] += _MEMORY * found[:, hour - 1]
        return _WANDERS * found


def traffic(kind: Kind, seed: int, trials: int) -> Traffic:
    """A baseline of a week, half a month after it, and trials.

    Args:
        kind: Of the rows.
        seed: Of all that is drawn.
        trials: Number of changes, each from its own start.
    """
    source = Source(kind, seed)
    all_windows = source.windows(0, WEEK + HALF_MONTH)
    drawn = [source.trial() for _ in range(trials)]
    return Traffic(
        kind,
        all_windows[:WEEK],
        all_windows[WEEK:],
        np.stack([values for _, values, _ in drawn]),
        tuple(start for start, _, _ in drawn),
        np.stack([clients for _, _, clients in drawn]),
    )
