"""The drift of a version in words: one table, and the rules behind it."""

from __future__ import annotations

import pytest

from penstock.monitoring.drift.options import DriftOptions
from penstock.monitoring.drift.settling import is_enough
from penstock.monitoring.drift.states import (
    CALIBRATING,
    CHANGED,
    DRIFT,
    LEARNING,
    OK,
    PROVISIONAL,
    STATES,
    TOO_LITTLE,
    WARN,
    state_now,
)
from penstock.monitoring.drift_summary.summary import (
    MOST_LETTERS,
    DriftSummary,
    combined,
    drift_words,
    known_at,
)

JUNE = 1_780_315_200.0  # 2026-06-01 12:00 UTC


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (DriftSummary(OK), "stable"),
        (DriftSummary(DRIFT, ("age", "income")), "changed: age, income"),
        (DriftSummary(DRIFT, ("a", "b", "c"), 4), "changed: a, b, c and 4 more"),
        (DriftSummary(WARN, ("age",)), "flagged once: age"),
        (DriftSummary(CHANGED, ("age",)), "changed a little: age"),
        (DriftSummary(OK, segments=2), "stable; changed in 2 segments"),
        (DriftSummary(CALIBRATING), "calibrating"),
        (
            DriftSummary(CALIBRATING, until=JUNE),
            "calibrating until 2026-06-01 12:00 UTC or later",
        ),
        (
            DriftSummary(PROVISIONAL, until=JUNE),
            "baseline is provisional until 2026-06-01 12:00 UTC or later",
        ),
        (DriftSummary(LEARNING), "no baseline: it is learnt from live rows"),
        (
            DriftSummary(TOO_LITTLE, rows=40, min_rows=1000),
            "too few rows: 40 in the last window, 1,000 needed",
        ),
        (DriftSummary(OK, problem="baseline.json: damaged"), "stable; baseline.json: damaged"),
    ],
)
def test_each_state_has_its_words(found, words):
    assert drift_words(found) == words
    assert DriftSummary.from_json(found.to_json()) == found


def test_no_state_is_without_words():
    assert all(drift_words(DriftSummary(state)) for state in STATES)


def test_the_features_of_the_state_are_named_largest_change_first():
    found = {
        "small": {"state": DRIFT, "psi": 0.3, "since": 20.0},
        "calm": {"state": OK, "psi": 9.0, "since": 0.0},
        "r": {"state": DRIFT, "psi": 0.2, "since": 30.0, "columns": ["a", "b"]},
        "x" * 500: {"state": DRIFT, "psi": 0.9, "since": 10.0},
        "least": {"state": DRIFT, "psi": 0.1, "since": 40.0},
    }
    named = DriftSummary(DRIFT).named(found)
    assert named.features == ("x" * MOST_LETTERS, "small", "the relation between a and b")
    assert (named.others, named.since) == (1, 10.0)


def test_an_arm_that_drifts_speaks_for_the_version_else_the_latest_one():
    drifting = DriftSummary(DRIFT, last=1.0)
    old, new = DriftSummary(OK, last=2.0), DriftSummary(CALIBRATING, last=3.0)
    assert combined([old, drifting, new]) is drifting
    assert combined([old, new]) is new
    assert combined([]) is None


def test_the_time_of_calibrating_is_the_first_at_which_windows_are_enough():
    options = DriftOptions(window_seconds=60.0, baseline_seconds=600.0, calibration_windows=5)
    for seen in range(1, 12):
        ends = [60.0 * number for number in range(1, 30)]
        first = next(
            end
            for number, end in enumerate(ends, 1)
            if number >= seen and is_enough(number, end, options)
        )
        if first > ends[seen - 1]:  # it is not known yet
            assert known_at(0.0, ends[seen - 1], seen, options) == first


def test_the_state_before_the_first_window_depends_on_the_baseline():
    assert state_now(WARN, "b", learning=True) == WARN
    assert state_now("", "b", learning=False) == CALIBRATING
    assert state_now("", "b", learning=True) == LEARNING
    assert state_now("", "", learning=False) == LEARNING
