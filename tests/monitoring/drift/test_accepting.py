"""What accepted windows make of a baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from penstock.monitoring.drift.accepting import (
    AcceptedReferences,
    accepted_references,
    calibrating_until,
)
from penstock.monitoring.drift.learning import category_reference, number_reference
from penstock.monitoring.drift.options import DriftOptions
from penstock.monitoring.drift.window import Window

if TYPE_CHECKING:
    from penstock.monitoring.drift.baseline import Reference

RNG = np.random.default_rng(5)
NUMBERS = number_reference(RNG.normal(size=4000))
WORDS = category_reference(RNG.choice(["red", "green", "blue"], 4000).tolist())
CODES = number_reference(RNG.integers(0, 6, 4000).astype(float))

#: A window of these tests lasts a second.
OPTIONS = DriftOptions(window_seconds=1.0, baseline_seconds=20.0, calibration_windows=20)


def windows(reference: Reference, *values: Any) -> list[Window]:
    found = []
    for number, one in enumerate(values):
        window = Window(float(number), number + 1.0, rows=len(one))
        window.add("f", reference, np.asarray(one))
        found.append(window)
    return found


def test_counts_and_moments_are_those_of_all_windows() -> None:
    parts = RNG.normal(0.5, 1.2, (3, 500))
    made = accepted_references({"f": NUMBERS}, windows(NUMBERS, *parts), OPTIONS)
    one = made.references["f"]
    assert one.counts.tolist() == NUMBERS.bins.count(parts.ravel()).tolist()
    assert made.rows == one.rows == 1500
    assert one.moments.mean == pytest.approx(parts.mean())
    assert one.moments.deviation == pytest.approx(parts.std(ddof=1))
    assert one.limits[1] == max(NUMBERS.limits[1], parts.max())
    assert (one.variations, one.fitted, one.provisional) == (None, 0, False)


@pytest.mark.parametrize(
    ("reference", "values"),
    [
        (NUMBERS, RNG.normal(6, 1, 500)),  # above
        (NUMBERS, RNG.normal(-4, 1, 500)),  # below
        (NUMBERS, RNG.normal(0, 0.01, 500)),  # in one bin
        (WORDS, RNG.choice(np.array(["red", "teal"], object), 500)),  # new
    ],
)
def test_a_feature_that_its_bins_no_longer_tell_apart_is_left_out(
    reference: Reference, values: Any
) -> None:
    made = accepted_references({"f": reference, "g": NUMBERS}, windows(reference, values), OPTIONS)
    assert made.learnt_anew == ("f",)
    assert made.references == {"g": NUMBERS}  # no window counts it


@pytest.mark.parametrize(
    ("reference", "values"),
    [
        (NUMBERS, np.where(RNG.random(500) < 0.7, np.nan, RNG.normal(size=500))),  # missing
        (WORDS, RNG.choice(np.array(["red", ""], object), 500)),
        (WORDS, np.array(["red"] * 500, object)),
        (CODES, np.full(500, 3.0)),  # each value has a bin of its own
    ],
)
def test_what_is_missing_or_has_a_bin_of_its_own_is_accepted(
    reference: Reference, values: Any
) -> None:
    made = accepted_references({"f": reference}, windows(reference, values), OPTIONS)
    assert made.learnt_anew == ()
    assert made.references["f"].counts.sum() == 500


def test_windows_over_other_bins_are_not_counted() -> None:
    mine, others = windows(NUMBERS, RNG.normal(size=500)), windows(CODES, np.zeros(500))
    made = accepted_references({"f": NUMBERS}, [*mine, *others], OPTIONS)
    assert made.references["f"].rows == 500


def test_windows_of_a_whole_week_teach_how_much_healthy_ones_vary() -> None:
    parts = RNG.normal(0.5, 1.2, (20, 200))
    late, early = windows(NUMBERS, *parts)[10:], windows(NUMBERS, *parts)[:10]
    made = accepted_references({"f": NUMBERS}, [*late, *early], OPTIONS)
    assert made.references["f"].variations == {}  # no more than chance has it
    assert calibrating_until(made, OPTIONS, 100.0) is None
    moved = RNG.normal(RNG.normal(0, 0.5, (20, 1)), 1.0, (20, 200))
    varied = accepted_references({"f": NUMBERS}, windows(NUMBERS, *moved), OPTIONS)
    assert varied.references["f"].variations
    assert calibrating_until(varied, OPTIONS, 100.0) is None


def test_windows_of_less_time_or_of_two_arms_teach_nothing() -> None:
    few = windows(NUMBERS, *RNG.normal(0.5, 1.2, (18, 200)))
    other_arm = windows(NUMBERS, *RNG.normal(0.5, 1.2, (18, 200)))
    for some in (few, [*few, *other_arm]):
        made = accepted_references({"f": NUMBERS}, some, OPTIONS)
        assert made.references["f"].variations is None
        assert calibrating_until(made, OPTIONS, 100.0) == 119.0
    none = DriftOptions(calibration_windows=0)
    assert calibrating_until(made, none, 100.0) is None


def test_features_that_are_learnt_anew_are_learning_and_calibrating_first() -> None:
    made = AcceptedReferences({}, ("f",), 100)
    assert calibrating_until(made, DriftOptions(), 0.0) == 8 * 86_400
