"""Which labels vote, and what becomes of an alarm whose reference means nothing any more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from penstock.monitoring.feedback import LabelEvents, change
from penstock.monitoring.feedback import votes as votes_module
from penstock.monitoring.feedback.alarm import RECENT
from penstock.monitoring.feedback.change_detector import (
    ALARM,
    LEARNING,
    WATCHING,
    ChangeDetector,
)
from penstock.monitoring.feedback.label import Label
from penstock.monitoring.feedback.label_query import LabelQuery
from penstock.monitoring.feedback.labelling import HourlyLabels
from penstock.monitoring.feedback.options import FeedbackOptions
from penstock.monitoring.feedback.votes import (
    COMPLETE,
    FEWEST_DELAYS,
    GROWTH,
    IN_TIME,
    Due,
    Votes,
)

DAY = 86_400.0
#: A Monday.
START = 1_700_000_000.0 // (7 * DAY) * (7 * DAY)
DECLARED = FeedbackOptions(expected_accuracy=0.9, reference_days=0)


class Recorded:
    """Labels in memory: (time, loss, unit), all of the same delay; the oldest may be forgotten."""

    def __init__(self, entries, delay=60.0, chunk=None):
        self.entries = sorted(entries)
        self.delay = delay
        self.chunk = chunk

    def delays(self):
        return np.full(len(self.entries), self.delay)

    def first(self):
        return self.entries[0][0]

    def due(self, after, until, wait):
        if self.delay > wait:
            return []
        found = [Due(*one, "") for one in self.entries if after < one[0] <= until]
        return found[: self.chunk]

    def by_hour(self, until, wait):
        return HourlyLabels(np.zeros(0), np.zeros(0), None)


def stream(count, rate=0.0, step=600.0, start=START, unit=""):
    bad = np.random.default_rng(1).random(count) < rate
    return [(start + n * step, float(one), unit) for n, one in enumerate(bad)]


def in_alarm():
    """A detector with an open alarm, and its labels."""
    labels = Recorded(stream(500, 0.5))
    detector, told = Votes().advance(
        labels, ChangeDetector.of(DECLARED), DECLARED, START + 30 * DAY
    )
    assert told == ["opened"]
    assert detector.state == ALARM
    return detector, labels


def test_an_alarm_ends_before_the_reference_is_learnt_again():
    """Its end is told as that of the detector that opened it: else it stays open for ever."""
    detector, labels = in_alarm()
    labels.delay = 10 * DAY
    votes, now = Votes(), START + 31 * DAY
    same, told = votes.advance(labels, detector, DECLARED, now)
    assert told == ["closed"]
    assert (same.first_time, same.alarm.vote) == (detector.first_time, detector.alarm.vote)
    new, told = votes.advance(labels, same, DECLARED, now)
    assert (told, new.labels, new.wait) == (["opened"], 500, 10 * DAY)


@pytest.mark.parametrize("state", [ALARM, LEARNING])
def test_the_state_of_an_earlier_release_is_made_anew_and_its_alarm_ends(state):
    old = {
        "size": 1000, "labels": 4000, "state": state, "reference": [1000, 100], "limit": 0.5,
        "evidence": [1.0, 2.0, 3.0], "losses": [], "blocks": [[10, 1]], "first_time": START,
        "worse": 0.2, "good_run": [0, 0], "alarm_at": 3000,
    }  # fmt: skip
    detector = ChangeDetector.from_json(old)
    labels, votes, options = Recorded(stream(100)), Votes(), FeedbackOptions()
    ended, told = votes.advance(labels, detector, options, START + DAY)
    if state == ALARM:
        assert told == ["closed"]
        assert (ended.first_time, ended.alarm.vote) == (START, 3000)
        ended, told = votes.advance(labels, ended, options, START + DAY)
    assert told == []
    assert (ended.state, ended.labels, ended.outdated) == (LEARNING, 0, False)


def test_labels_vote_also_where_the_oldest_are_forgotten_within_a_week():
    """A busy server keeps the labels of a few days: the first label is never a week old."""
    options, votes = FeedbackOptions(reference_labels=50), Votes()
    detector = ChangeDetector.of(options)
    for day in range(3, 20):
        labels = Recorded(stream(144 * 3, start=START + (day - 3) * DAY))
        detector, _ = votes.advance(labels, detector, options, START + day * DAY)
    assert detector.labels > 144 * 5
    assert detector.state != LEARNING


def test_a_unit_votes_once_a_day_also_after_a_restart():
    entries = stream(100, unit="anna") + [(START + 5.0 + n, 0.0, "") for n in range(60)]
    labels = Recorded(entries, chunk=7)
    votes, detector = Votes(), ChangeDetector.of(DECLARED)
    for hour in range(1, 15):
        restarted = ChangeDetector.from_json(detector.to_json())
        detector, _ = Votes().advance(labels, restarted, DECLARED, START + hour * 3600)
        votes.advance(labels, detector, DECLARED, START + hour * 3600)
    for _ in range(30):
        detector, _ = votes.advance(labels, detector, DECLARED, START + DAY)
    assert detector.labels == 61


def test_more_units_than_can_be_remembered_do_not_vote_twice(monkeypatch):
    monkeypatch.setattr(votes_module, "MOST_UNITS", 10)
    entries = [
        (START + 60.0 * n + 1000.0 * turn, 0.0, f"u{n:02}") for turn in range(3) for n in range(30)
    ]
    detector, _ = Votes().advance(
        Recorded(entries), ChangeDetector.of(DECLARED), DECLARED, START + DAY / 2
    )
    assert detector.labels == 10


@pytest.mark.parametrize("sources", [1000, 6000])
def test_sources_too_many_to_be_known_are_no_change_of_the_labelling(sources):
    random, number = np.random.default_rng(1), 6000
    times = 1.7e9 + np.arange(number) * 600.0
    named = [f"annotator-{one}" for one in random.integers(0, sources, number)]
    for later, told in ((0.1, []), (0.25, ["opened"])):
        loss = (random.random(number) < np.where(np.arange(number) < 4000, 0.1, later)).astype(
            float
        )
        events = LabelEvents(times, times + 60, loss)
        found = change(replace(events, source=named), FeedbackOptions())
        assert [one.what for one in found] == told
        assert found == change(events, FeedbackOptions())


def test_the_share_at_an_alarm_is_that_of_many_votes():
    """However the alarm falls: a share of one vote would end the alarm at once."""
    for good in range(RECENT - 40, RECENT + 5):
        detector = ChangeDetector.of(DECLARED)
        told = [detector.add(0.0, START + n, 0.05) for n in range(good)]
        count = 0
        while "opened" not in told:
            told.append(detector.add(1.0, START + good + count, 0.05))
            count += 1
        assert count < 60
        assert detector.alarm.worse < 0.6
        again = ChangeDetector.from_json(detector.to_json())
        assert again.alarm.recent == detector.alarm.recent


def test_the_latest_delays_are_those_of_the_labels_that_came_last(keep, batch, monkeypatch):
    monkeypatch.setattr("penstock.monitoring.feedback.label_query.MOST_DELAYS", 4)
    store = keep()
    for arm, first in (("", 0), ("canary", 5)):
        ids = [f"r{n}" for n in range(first, first + 5)]
        store.take([batch(ids, {"label": [1] * 5}, arm=arm, time=START)])
    store.tick(START + 1)
    for n in (0, 5, 1, 6, 2, 7):
        store.feedback([Label(f"r{n}", 1, START)], START + 10.0 * n)
    (slots,) = store._slots.by_version().values()
    assert len(slots) == 2
    delays = LabelQuery(store._connection, slots).delays()
    assert delays.tolist() == [70.0, 20.0, 60.0, 10.0]


def plain_wait(delays, wait, *, learning):
    """The wait, and whether what was learnt is outdated, by the quantile each time."""
    if len(delays) < FEWEST_DELAYS:
        return wait, False
    if wait is not None and not learning and np.mean(delays <= wait * GROWTH + 1) >= IN_TIME:
        return wait, False
    new = max(0.0, float(np.quantile(delays, COMPLETE)))
    if wait is None:
        return new, False
    if not learning or new > wait * GROWTH + 1:
        return new, True
    return wait, False


def test_the_wait_is_that_of_the_quantile_also_where_none_is_computed():
    rng = np.random.default_rng(0)
    found = set()
    for _ in range(3000):
        delays = rng.exponential(100.0, rng.integers(FEWEST_DELAYS - 1, 400)).round()
        wait = rng.choice([None, 0.0, *np.quantile(delays, [0.5, 0.9, 0.98, 0.99, 1]) / GROWTH])
        learning = bool(rng.integers(2))
        detector = ChangeDetector(10, wait=wait, state=LEARNING if learning else WATCHING)
        Votes._check_wait(delays, detector)
        expected = plain_wait(delays, wait, learning=learning)
        assert (detector.wait, detector.outdated) == expected
        found.add((wait is None, learning, expected[1]))
    assert len(found) == 6
