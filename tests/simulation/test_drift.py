"""The drift rule by simulation: false alarms, power, daily cycles, with exact binomial intervals.

Everything goes the real way: values into bins, windows, comparison, judgement, episodes. Only disk
and clock are left out; of many windows without drift the clean ones are found first, all at once.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from drift_screen import draw_counts, may_be_flagged
from scipy import stats

from penstock.monitoring.drift.drift_state import DriftState
from penstock.monitoring.drift.learning import category_reference, number_reference
from penstock.monitoring.drift.options import DriftOptions
from penstock.monitoring.drift.rule import Level
from penstock.monitoring.drift.sensitivity import smallest_shift
from penstock.monitoring.drift.states import advance
from penstock.monitoring.drift.window import Window

FEATURES = 20
OUTPUTS = 2
BASELINE_ROWS = 10_000
SHIFTED = "f7"
OPTIONS = DriftOptions()
DAYS = replace(OPTIONS, baseline_seconds=0.0)
#: Clean windows after which nothing is left of an episode: it looks back at fewer.
FORGOTTEN = 20
NAMES = [f"f{number}" for number in range(FEATURES)]


class Tally:
    """What happened in windows."""

    def __init__(self):
        self.windows = self.raised = self.opened = 0
        self.found = dict.fromkeys(NAMES, 0)

    def add(self, verdict):
        levels = {name: one["level"] for name, one in verdict.findings.items()}
        self.windows += 1
        self.raised += any(level != "clean" for level in levels.values())
        self.opened += any(change.after.open for change in verdict.changes)
        for name, level in levels.items():
            self.found[name] = self.found.get(name, 0) + Level(level).flagged

    def upper(self, hits):
        """95 %, one-sided."""
        found = stats.binomtest(hits, self.windows, alternative="less")
        return found.proportion_ci(0.95, method="exact").high

    def interval(self, hits):
        """95 %, Clopper and Pearson."""
        found = stats.binomtest(hits, self.windows).proportion_ci(method="exact")
        return f"{hits} of {self.windows} (95 %: {found.low:.4f} to {found.high:.4f})"


def references(values):
    """A baseline of these features; the first of them are outputs."""
    return {
        name: number_reference(values[number], output=number < OUTPUTS)
        for number, name in enumerate(NAMES)
    }


def window_of(values, baseline, start=0.0):
    window = Window(start, end=start + 3600.0, rows=values.shape[1])
    for name, column in zip(NAMES, values, strict=True):
        window.add(name, baseline[name], column)
    return window


def calibrated(baseline):
    """A watch that knows that windows vary as chance has it."""
    drift_state = DriftState()
    drift_state._calibrated = set(baseline)
    return drift_state


def run(rng, rows, windows, shift=0.0, per_baseline=100):
    tally = Tally()
    for _ in range(windows // per_baseline):
        baseline = references(rng.standard_normal((FEATURES, BASELINE_ROWS)))
        drift_state = calibrated(baseline)
        for _ in range(per_baseline):
            values = rng.standard_normal((FEATURES, rows), np.float32)
            values[NAMES.index(SHIFTED)] += shift
            drift_state.window = window_of(values, baseline)
            tally.add(drift_state.conclude(baseline, OPTIONS))
    return tally


def run_screened(rng, rows, windows, per_baseline=250):
    """The same for windows without drift, whose rows are drawn as counts.

    The rule looks at what it could flag at all; of the others it is known that they are clean.
    """
    tally = Tally()
    for _ in range(windows // per_baseline):
        baseline = references(rng.standard_normal((FEATURES, BASELINE_ROWS)))
        drift_state = calibrated(baseline)
        counts = draw_counts(rng, baseline, rows, per_baseline)
        looked_at = set(may_be_flagged(baseline, counts, OPTIONS).tolist())
        clean = 0
        for number in range(per_baseline):
            if number in looked_at:
                clean = 0
                drift_state.window = Window(
                    0.0, 3600.0, rows, counts=dict(zip(NAMES, counts[number], strict=True))
                )
                tally.add(drift_state.conclude(baseline, OPTIONS))
                continue
            tally.windows += 1
            for name, one in drift_state.episodes.items() if clean < FORGOTTEN else ():
                drift_state.episodes[name] = advance(one, Level.CLEAN, 3600.0, calibrating=False)
            clean += 1
    return tally


@pytest.mark.parametrize(("rows", "shift"), [(100, 0.0), (100, 0.2), (500, 0.35), (5000, 0.3)])
def test_nothing_is_flagged_that_the_screen_has_left_out(rows, shift):
    rng = np.random.default_rng(rows)
    baseline = references(rng.standard_normal((FEATURES, BASELINE_ROWS)))
    counts = draw_counts(rng, baseline, rows, 150, shift * (rng.random() + 0.5))
    looked_at = set(may_be_flagged(baseline, counts, OPTIONS).tolist())
    flagged = set()
    for number in range(150):
        drift_state = calibrated(baseline)
        drift_state.window = Window(
            0.0, 3600.0, rows, counts=dict(zip(NAMES, counts[number], strict=True))
        )
        found = drift_state.conclude(baseline, OPTIONS).findings
        if any(one["level"] != "clean" for one in found.values()):
            flagged.add(number)
    assert flagged <= looked_at
    assert len(looked_at) <= 3 * len(flagged) + 20


@pytest.mark.parametrize(
    ("rows", "windows"), [(100, 15_000), (200, 10_000), (500, 10_000), (5000, 5000)]
)
def test_without_drift_hardly_anything_is_raised_and_less_opens_an_episode(rows, windows):
    """Not only in these windows: with 95 % certainty in any."""
    tally = run_screened(np.random.default_rng(rows), rows, windows)
    assert tally.windows == windows
    assert tally.upper(tally.raised) <= 0.015, tally.interval(tally.raised)
    assert tally.upper(tally.opened) <= 0.001, tally.interval(tally.opened)


def test_counts_that_are_drawn_are_like_values_that_are_counted():
    counted = run(np.random.default_rng(1), 100, 300)
    drawn = run_screened(np.random.default_rng(2), 100, 3000)
    table = [[one.raised, one.windows - one.raised] for one in (counted, drawn)]
    assert stats.fisher_exact(table).pvalue > 0.001


def test_half_a_deviation_is_found_in_one_window_and_only_there():
    tally = run(np.random.default_rng(7), 500, 300, shift=0.5)
    assert tally.found[SHIFTED] / tally.windows >= 0.99, tally.interval(tally.found[SHIFTED])
    others = sum(hits for name, hits in tally.found.items() if name != SHIFTED)
    assert others / tally.windows <= 0.015


def test_the_smallest_detectable_shift_is_what_is_said():
    effective = 1 / (2 / BASELINE_ROWS + 1 / 500)  # one half of the rows chose the bins
    shift = smallest_shift(effective, FEATURES, OPTIONS)
    tally = run(np.random.default_rng(8), 500, 300, shift=shift)
    assert 0.84 <= tally.found[SHIFTED] / tally.windows <= 0.96


def categories(rng, before, after, windows):
    """Share of windows in which a category is flagged, among 19 that do not change."""
    names = np.array([f"c{number}" for number in range(len(before))])
    hits = 0
    baseline = references(rng.standard_normal((FEATURES, BASELINE_ROWS)))
    baseline["f7"] = category_reference(rng.choice(names, BASELINE_ROWS, p=before).tolist())
    drift_state = calibrated(baseline)
    for _ in range(windows):
        window = Window(0.0, end=3600.0, rows=500)
        for name, reference in baseline.items():
            values = rng.standard_normal(500)
            if name == SHIFTED:
                values = rng.choice(names, 500, p=after).astype(object)
            window.add(name, reference, values)
        drift_state.window = window
        hits += drift_state.conclude(baseline, OPTIONS).findings[SHIFTED]["level"] != "clean"
    return hits / windows


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([0.5, 0.3, 0.15, 0.05], [0.45, 0.27, 0.13, 0.15]),  # a rare one takes ten points
        ([0.5, 0.4, 0.1], [0.4, 0.4, 0.2]),  # ten points from the first to the last
        ([0.6, 0.4, 0.0], [0.5, 0.4, 0.1]),  # to one that was never seen
    ],
)
def test_ten_points_to_a_rare_category_are_found_in_one_window(before, after):
    assert categories(np.random.default_rng(9), before, after, 300) >= 0.99


def test_categories_that_do_not_move_are_left_alone():
    shares = [0.5, 0.3, 0.15, 0.05]
    assert categories(np.random.default_rng(10), shares, shares, 300) <= 0.01


def test_a_daily_cycle_is_no_drift_after_calibration():
    rng = np.random.default_rng(12)
    hours = iter(range(10_000))

    def hour(shift=0.0):
        values = rng.standard_normal((FEATURES, 500))
        values += 0.4 * np.sin(2 * np.pi * next(hours) / 24)
        values[NAMES.index(SHIFTED)] += shift
        return values

    baseline = references(np.concatenate([hour() for _ in range(48)], axis=1))
    drift_state = DriftState()
    first = [window_of(hour(), baseline) for _ in range(48)]
    drift_state.calibrate(baseline, first, DAYS)
    assert drift_state.uncalibrated(baseline) == []
    tally, shifted = Tally(), Tally()
    for into, shift, count in ((tally, 0.0, 480), (shifted, 1.0, 96)):
        for _ in range(count):
            drift_state.window = window_of(hour(shift), baseline)
            into.add(drift_state.conclude(baseline, OPTIONS))
    assert tally.raised / tally.windows <= 0.01, tally.interval(tally.raised)
    assert tally.opened == 0
    assert shifted.found[SHIFTED] / shifted.windows > 0.8
    assert shifted.opened >= 1


def test_the_cycle_would_be_an_alarm_without_calibration():
    """The same traffic, taken for independent rows: what the calibration is for."""
    rng = np.random.default_rng(13)
    phases = 0.4 * np.sin(2 * np.pi * np.arange(48) / 24)
    values = rng.standard_normal((FEATURES, 48, 500)) + phases[None, :, None]
    baseline = references(values.reshape(FEATURES, -1))
    drift_state, tally = calibrated(baseline), Tally()
    for begin, _ in pairwise(range(49)):
        drift_state.window = window_of(values[:, begin], baseline)
        tally.add(drift_state.conclude(baseline, OPTIONS))
    assert tally.raised / tally.windows > 0.3
