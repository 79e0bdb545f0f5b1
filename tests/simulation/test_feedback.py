"""The test for change, run thousands of times: how soon it sees a fall, how often it sees none.

Figures printed by these runs are in docs/monitoring.md. Labels come 1,000 a day unless said
otherwise, so that a month has 30,000 and the alarm is at 30,000 / 0.05 = 600,000.
"""

from __future__ import annotations

import numpy as np
import pytest

from penstock.monitoring.feedback.change_detector import ChangeDetector
from penstock.monitoring.feedback.change_evidence import (
    ODDS,
    WEIGHTS,
    ChangeEvidence,
    grow,
    ratios,
)
from penstock.monitoring.feedback.options import FeedbackOptions

SHARE = 0.05


def first_alarms(rates, bad, threshold):
    """Label of the first alarm of each run, 0 where there is none; `rates` are the references."""
    likes = [ratios(np.broadcast_to(rates, len(bad)), odds) for odds in ODDS]
    wrong = np.array([one[0] for one in likes])
    right = np.array([one[1] for one in likes])
    evidence = np.zeros((len(ODDS), len(bad)))
    alarms = np.zeros(len(bad), int)
    for number in range(bad.shape[1]):
        evidence = grow(evidence, np.where(bad[:, number], wrong, right))
        alarms[(np.array(WEIGHTS) @ evidence >= threshold) & (alarms == 0)] = number + 1
    return alarms


def runs(seed, count, labels, rate):
    return np.random.default_rng(seed).random((count, labels), np.float32) < rate


@pytest.mark.parametrize(("per_day", "soon"), [(1000, 0.84), (100, 0.94), (25, 0.97)])
def test_a_fall_from_90_to_80_percent_is_seen_within_300_labels(per_day, soon):
    """After 1,000 labels as they should be: the evidence is never nothing when it begins."""
    before, after = runs(1, 2000, 1000, 0.1), runs(10, 2000, 1500, 0.2)
    alarms = first_alarms(0.1, np.concatenate([before, after], axis=1), 30 * per_day / SHARE)
    assert (alarms > 0).all()
    delays = alarms[alarms > 1000] - 1000
    assert len(delays) >= 0.95 * len(alarms)
    assert np.median(delays) <= 200
    assert (delays <= 300).mean() >= soon


@pytest.mark.parametrize(("per_day", "soon"), [(1000, 0.78), (100, 0.90), (25, 0.95)])
def test_a_fall_at_the_very_first_label_takes_a_little_longer(per_day, soon):
    alarms = first_alarms(0.1, runs(1, 2000, 1500, 0.2), 30 * per_day / SHARE)
    assert (alarms > 0).all()
    assert np.median(alarms) <= 220
    assert (alarms <= 300).mean() >= soon


@pytest.mark.parametrize(("per_day", "rate"), [(1000, 0.1), (100, 0.1), (100, 0.02), (100, 0.3)])
def test_a_month_without_a_change_raises_an_alarm_in_one_of_twenty_at_most(per_day, rate):
    count = 300 if per_day == 1000 else 1500
    alarms = first_alarms(rate, runs(2, count, 30 * per_day, rate), 30 * per_day / SHARE)
    assert (alarms > 0).mean() <= SHARE


def learnt_alarms(known, bad, threshold):
    """The same where the level is that of `known` bad votes of 1,000: all runs at once."""
    starts = [ChangeEvidence.of(1000, one, (one + 1) / 1002) for one in known]
    centre = (known + 1.0) / (1001 - known)
    odds = centre[:, None] * np.exp([one.levels for one in starts])
    weights = np.array([one.weights for one in starts])
    right = np.array([(1 + odds) / (1 + ratio * odds) for ratio in ODDS])
    evidence, alarms = np.zeros(right.shape), np.zeros(len(bad), int)
    for number in range(bad.shape[1]):
        wrong = bad[:, number, None]
        evidence = grow(evidence, right * np.where(wrong, np.reshape(ODDS, (-1, 1, 1)), 1.0))
        weights = weights + np.where(wrong, np.log(odds), 0.0) - np.log1p(odds)
        level = np.exp(weights - weights.max(1, keepdims=True))
        mean = (level * evidence).sum(2) / level.sum(1)
        alarms[(np.array(WEIGHTS) @ mean >= threshold) & (alarms == 0)] = number + 1
    return alarms


def test_a_reference_that_is_learnt_keeps_the_rate_of_false_alarms():
    known = np.random.default_rng(3).binomial(1000, 0.1, 500)
    null = learnt_alarms(known, runs(4, 500, 3000, 0.1), 3000 / SHARE)
    fallen = learnt_alarms(known, runs(5, 500, 800, 0.2), 3000 / SHARE)
    assert (null > 0).mean() <= SHARE
    assert np.median(fallen) <= 200
    assert (fallen[fallen > 0] <= 300).mean() >= 0.80


def test_the_evidence_is_what_was_simulated():
    known, bad = np.array([90, 110]), runs(12, 2, 800, 0.2)
    for start, row, alarm in zip(known, bad, learnt_alarms(known, bad, 60_000), strict=True):
        evidence = ChangeEvidence.of(1000, start, (start + 1) / 1002)
        found = []
        for one in row:
            evidence.add((start + 1) / 1002, bad=bool(one))
            found.append(evidence.statistic)
        assert np.argmax(np.array(found) >= 60_000) + 1 == alarm > 0


def test_the_detector_does_what_was_simulated():
    """Label by label, with a declared reference, as the vectorised runs above."""
    bad = np.concatenate([runs(6, 40, 500, 0.1), runs(7, 40, 1000, 0.2)], axis=1)
    expected = first_alarms(0.1, bad, 3000 / SHARE)
    for row, alarm in zip(bad, expected, strict=True):
        detector = ChangeDetector.of(FeedbackOptions(expected_accuracy=0.9))
        times = np.arange(len(row)) * 864.0  # 100 a day
        told = [
            number
            for number, (one, now) in enumerate(zip(row, times, strict=True), 1)
            if detector.add(float(one), now, SHARE) == "opened"
        ]
        assert told
        assert abs(told[0] - alarm) <= 60  # the rate of labels is learnt, and so is the threshold


def test_an_alarm_ends_when_predictions_are_good_again_and_survives_a_restart():
    rng = np.random.default_rng(8)
    detector = ChangeDetector.of(FeedbackOptions(reference_days=0))
    told = []
    for number in range(6000):
        rate = 0.25 if 3000 <= number < 4000 else 0.08
        told.append(detector.add(float(rng.random() < rate), number * 86.4, SHARE))
        if number % 777 == 0:
            detector = ChangeDetector.from_json(detector.to_json())
    changes = [(number, one) for number, one in enumerate(told) if one]
    assert [one for _, one in changes] == ["opened", "closed"]
    assert 3000 < changes[0][0] < 3300
    assert 4000 < changes[1][0] <= 4600


def test_large_errors_of_numbers_are_a_change_too():
    rng = np.random.default_rng(9)
    detector = ChangeDetector.of(FeedbackOptions(reference_labels=1000))
    told = [detector.add(abs(rng.normal()), n * 864.0, SHARE) for n in range(2500)]
    assert "opened" not in told
    told = [detector.add(abs(rng.normal(scale=1.6)), (2500 + n) * 864.0, SHARE) for n in range(600)]
    assert "opened" in told
    assert detector.limit == pytest.approx(1.64, abs=0.2)
