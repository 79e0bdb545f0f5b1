"""Predicts the time of a run by its rows: measured at load, corrected by every later run."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from penstock.runtimes.contract import Array

#: Weight of a new observation in the drift of its knot.
SMOOTHING: Final = 0.1
#: Drift that makes the table be fitted again. Below it sits the noise of short runs.
TOLERANCE: Final = 0.1
#: Runs between two fits, which cost as much as several runs of a small model.
RUNS_BETWEEN_FITS: Final = 4
#: Seconds of execution between two fits for less drift than `LARGE_DRIFT`: a fiftieth of them.
SECONDS_BETWEEN_FITS: Final = 5e-3
LARGE_DRIFT: Final = 0.3
#: Observations that make a knot's own drift count as much as the common drift.
PRIOR_OBSERVATIONS: Final = 8
#: The margin tracks this quantile of observed / predicted ...
QUANTILE: Final = 0.95
#: ... by Robbins-Monro steps of this size ...
STEP: Final = 0.02
#: ... within these bounds. Under-estimating is what breaks early drop, so it starts high.
LEAST_MARGIN: Final = 1.03
MOST_MARGIN: Final = 3.0
FIRST_MARGIN: Final = 1.25
#: One observation counts as at most this factor off, once the model is trusted.
CLIP: Final = 2.0
#: Python's own cost of a batch; keeps batches of microsecond models from being needlessly small.
BATCH_OVERHEAD_SECONDS: Final = 10e-6
#: What a run on a thread costs besides, to be started there and answered: 200 us of processor time
#: where the loop shares its core with the runs, half of it elsewhere. Models that gain nothing from
#: batching gain this.
HOP_SECONDS: Final = 100e-6
#: From here on runs are taken to be on threads.
THREAD_SECONDS: Final = 200e-6
#: Resolution of the clock: no run counts as shorter.
LEAST_SECONDS: Final = 1e-9
#: Largest assumed speed-up of a machine since the calibration.
LEAST_SCALE: Final = 1e-6
#: Share of the best rows per second that makes a batch size good enough to drop requests for ...
EFFICIENT: Final = 0.95
#: ... and that makes a larger batch pointless: it would only add latency.
SATURATED: Final = 0.98


@dataclass(frozen=True, slots=True)
class CostTable:
    """Measured run times.

    Attributes:
        sizes: Rows per run, ascending, at least one.
        seconds: The run time for each size.
    """

    sizes: tuple[int, ...]
    seconds: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.sizes or len(self.sizes) != len(self.seconds):
            raise ValueError("a cost table needs one run time for each size, and at least one")
        if self.sizes[0] < 1 or any(
            a >= b for a, b in zip(self.sizes, self.sizes[1:], strict=False)
        ):
            raise ValueError(f"sizes must ascend from 1 or more, got {self.sizes}")
        if min(self.seconds) <= 0:
            raise ValueError(f"run times must be greater than 0, got {self.seconds}")


#: For a model nobody measured: too dear to run on the event loop until it has shown otherwise.
UNKNOWN: Final = CostTable((1, 2), (1e-3, 1.1e-3))


def knots_up_to(max_rows: int) -> list[int]:
    """1, 2, 3, 4, 6, 8, 12, 16, 24, ... up to and including ``max_rows``."""
    knots = [1]
    power = 2
    while power < max_rows:
        knots.append(power)
        if power * 3 // 2 < max_rows and power > 1:
            knots.append(power * 3 // 2)
        power *= 2
    if max_rows > 1:
        knots.append(max_rows)
    return knots


class CostModel:
    """Predicts run times of one batch class.

    A table with knots at 1, 2, 3, 4, 6, 8, 12, ... rows, lines between them, never decreasing:
    the calibrated time of each knot, scaled by what was observed since. Each knot smooths observed
    / predicted; when that leaves 1 by more than `TOLERANCE` the scales are fitted again. A knot
    follows its own scale as far as it was observed lately and the common one otherwise, so a
    machine that slows down slows down for all sizes, and a size that once looked bad is tried
    again.

    Attributes:
        seconds: Expected run time by rows, from 0 to `max_rows`; never decreasing.
        margin: Runs stay below ``margin * seconds`` in 95 % of cases.
        max_rows: Most rows in one run.
        efficient: Fewest rows that give 95 % of the best rows per second.
        saturated: Fewest rows that give 98 % of it, and on threads 95 % with the hop there; more
            rows in a run only add latency.
        most: Rows up to which all that waits is run at once: a quarter more than `saturated`,
            rather than leaving a small remainder behind.
        row_seconds: Time per row in a run of `saturated` rows.
    """

    __slots__ = (
        "_bucket",
        "_calibrated",
        "_drift",
        "_knots",
        "_observed",
        "_runs",
        "_scale",
        "_seconds",
        "_total",
        "efficient",
        "margin",
        "max_rows",
        "most",
        "row_seconds",
        "saturated",
        "seconds",
    )

    def __init__(self, table: CostTable, max_rows: int, *, trusted: bool = True) -> None:
        """Start from measured times; ``trusted=False`` lets the first runs overrule them."""
        self.margin = FIRST_MARGIN
        self._total = PRIOR_OBSERVATIONS if trusted else 0
        self._knots: Array = np.array(table.sizes, float)
        self._calibrated: Array = np.array(table.seconds)
        self._scale: Array = np.ones(len(table.sizes))
        self.resize(max_rows)

    @property
    def table(self) -> CostTable:
        """The run times that it predicts now."""
        levels = self._calibrated * self._scale
        return CostTable(tuple(self._knots.astype(int).tolist()), tuple(levels.tolist()))

    def fork(self) -> CostModel:
        """A cost model for another batch class; its first runs may overrule its initial times."""
        return CostModel(self.table, self.max_rows, trusted=False)

    def resize(self, max_rows: int) -> None:
        """Change the most rows in one run, keeping what is known."""
        knots = np.array(knots_up_to(max_rows), float)
        self._calibrated = extrapolate(self._knots, self._calibrated, knots)
        self._scale = np.interp(knots, self._knots, self._scale)
        self._knots = knots
        self.max_rows = max_rows
        self._drift = [1.0] * len(knots)
        self._observed = [0.0] * len(knots)
        self._runs = 0
        self._seconds = 0.0
        self._bucket: list[int] = np.searchsorted(knots, np.arange(max_rows + 1)).tolist()
        self._tabulate()

    def rows_within(self, seconds: float) -> int:
        """Most rows that finish within ``seconds``, margin included; may be 0."""
        return max(0, bisect_right(self.seconds, seconds / self.margin, 1) - 1)

    def observe(self, rows: int, seconds: float) -> None:
        """Learn from a run."""
        if rows > self.max_rows:  # `max_rows` was lowered during the run
            return
        ratio = seconds / self.seconds[rows]
        if ratio > self.margin:
            self.margin = min(MOST_MARGIN, self.margin + STEP * QUANTILE)
        else:
            self.margin = max(LEAST_MARGIN, self.margin - STEP * (1 - QUANTILE))
        bucket = self._bucket[rows]
        self._observed[bucket] += 1
        if self._total < PRIOR_OBSERVATIONS:
            self._total += 1
            self._scale *= 1 + (ratio - 1) / self._total
            self._tabulate()
            return
        ratio = CLIP if ratio > CLIP else max(ratio, 1 / CLIP)
        drift = self._drift[bucket]
        drift += SMOOTHING * (ratio - drift)
        self._drift[bucket] = drift
        self._runs += 1
        self._seconds += seconds
        off = abs(drift - 1)
        if (
            off > TOLERANCE
            and self._runs >= RUNS_BETWEEN_FITS
            and (off > LARGE_DRIFT or self._seconds >= SECONDS_BETWEEN_FITS)
        ):
            self._runs = 0
            self._seconds = 0.0
            self._follow(bucket)

    def _follow(self, bucket: int) -> None:
        """Fit the scales again because one knot has drifted."""
        drift: Array = np.array(self._drift)
        observed: Array = np.array(self._observed)
        scale = self._scale * drift
        common = float(observed @ scale / observed.sum())
        own = observed / (observed + PRIOR_OBSERVATIONS)
        scale = np.maximum(common + own * (scale - common), LEAST_SCALE)
        change = scale / self._scale
        self._scale = scale
        self._drift = np.where(observed > 0, drift / change, 1.0).tolist()
        self._observed = (observed / 2).tolist()
        if change[bucket] > 1:  # the margin has covered for it until now
            self.margin = max(LEAST_MARGIN, self.margin / float(change[bucket]))
        self._tabulate()

    def _tabulate(self) -> None:
        levels = np.maximum.accumulate(np.maximum(self._calibrated * self._scale, LEAST_SECONDS))
        rows = np.arange(self.max_rows + 1)
        seconds = np.interp(rows, self._knots, levels)
        self.seconds: list[float] = seconds.tolist()
        answered = seconds + BATCH_OVERHEAD_SECONDS
        hop = np.where(seconds > THREAD_SECONDS, HOP_SECONDS, 0.0)
        self.efficient = _fewest(rows / answered, EFFICIENT)
        self.saturated = max(
            _fewest(rows / answered, SATURATED), _fewest(rows / (answered + hop), EFFICIENT)
        )
        self.most = min(self.max_rows, self.saturated + self.saturated // 4)
        self.row_seconds = self.seconds[self.saturated] / self.saturated


def _fewest(rate: Array, share: float) -> int:
    """Fewest rows, the index of ``rate``, that give this share of the best rate."""
    return int(np.argmax(rate >= share * rate.max()))


def extrapolate(sizes: Array, seconds: Array, at: Array) -> Array:
    """Interpolate; beyond the last size go on with the slope of the last two."""
    within = np.interp(at, sizes, seconds)
    slope = (
        (seconds[-1] - seconds[-2]) / (sizes[-1] - sizes[-2])
        if len(sizes) > 1
        else seconds[0] / sizes[0]
    )
    result: Array = within + slope * np.maximum(at - sizes[-1], 0)
    return result
