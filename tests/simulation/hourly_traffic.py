"""Traffic by the hour whose level moves in cycles, and wanders; judged by the real `DriftState`.

The counts of an hour are drawn for the bins of a real baseline: as many as its rows would give.
"""

from __future__ import annotations

import numpy as np
from scipy import special
from scipy.signal import lfilter

from penstock.monitoring.drift.baseline import Reference
from penstock.monitoring.drift.bins import number_bins
from penstock.monitoring.drift.drift_state import DriftState
from penstock.monitoring.drift.measurement import measure
from penstock.monitoring.drift.moments import Moments
from penstock.monitoring.drift.options import DriftOptions
from penstock.monitoring.drift.window import Window

HOUR = 3600.0
WEEK, MONTH = 168, 720


def remembering(rng, shape, memory):
    """AR(1) of variance 1."""
    noise = rng.standard_normal(shape) * np.sqrt(1 - memory**2)
    noise[:, 0] /= np.sqrt(1 - memory**2)
    return lfilter([1], [1, -memory], noise, axis=1)


def levels(kind, rng, features, hours):
    """Mean of each feature in each hour, in standard deviations of a row: features x hours.

    Args:
        kind: Parts with + between them: ``day``, ``night``, ``office``, ``weekend``, ``week``, or
            the memory of an AR(1), ``x`` and its standard deviation.
    """
    shifted = np.arange(hours) + rng.integers(0, WEEK)
    hour, day = shifted % 24, shifted // 24 % 7
    found = np.zeros((features, hours))
    for part in kind.split("+"):
        size, phase = rng.uniform(0.2, 0.8, (features, 1)), rng.uniform(0, 6.28, (features, 1))
        if part == "day":
            found += size * np.sin(6.2832 * shifted / 24 + phase)
        elif part == "week":
            found += size * np.sin(6.2832 * shifted / WEEK + phase)
        elif part == "weekend":
            found += size * (day >= 5)
        elif part == "office":
            found += size * ((hour >= 9) & (hour < 17) & (day < 5))
        elif part == "night":
            found += 2 * size * (hour < 2)
        elif part:
            memory, _, deviation = part.partition("x")
            found += float(deviation) * remembering(rng, found.shape, float(memory))
    return found


def counts_of(rng, edges, means, rows, size):
    """Rows of each bin in each hour: hours x bins."""
    cuts = np.concatenate([[-np.inf], edges, [np.inf]])
    chances = np.diff(special.ndtr(cuts - means[:, None]), axis=1)
    found = np.zeros((len(means), size), np.int64)
    found[:, : chances.shape[1]] = rng.multinomial(rows, chances / chances.sum(axis=1)[:, None])
    return found


class Month:
    """What a month after a baseline of a week shows.

    Attributes:
        opened: Hour and features of each incident.
        state: After the last hour.
    """

    def __init__(self, kind, seed, rows=500, features=3, hours=MONTH, shift=0.0, since=0):
        rng = np.random.default_rng(seed)
        means = levels(kind, rng, features, WEEK + hours)
        references, counts = {}, {}
        for place, mean in enumerate(means):
            first = rng.choice(mean[:WEEK], min(10_000, rows * WEEK // 2))
            bins = number_bins(first + rng.standard_normal(len(first)))
            mean[WEEK + since :] += shift * (place == 0)
            drawn = counts_of(rng, bins.edges, mean, rows, bins.size)
            varied = measure(list(drawn[:WEEK]), bins.exceptional, bins.ordered)
            total = drawn[:WEEK].sum(axis=0)
            references[f"x{place}"] = Reference(bins, total, Moments(), variations=varied)
            counts[f"x{place}"] = drawn[WEEK:]
        self.state, self.opened = DriftState(), []
        self._run(references, counts, rows, hours)

    def _run(self, references, counts, rows, hours):
        options, before = DriftOptions(), []
        for hour in range(hours):
            now = {name: one[hour] for name, one in counts.items()}
            window = Window(hour * HOUR, (hour + 1) * HOUR, rows, counts=now)
            if self.state.uncalibrated(references) and self.state.due():
                self.state.calibrate(references, before, options)
            self.state.window = window
            verdict = self.state.conclude(references, options)
            names = [one.feature for one in verdict.changes if one.after.open]
            if names:
                self.opened.append((hour, names))
            before.append(window)
