"""Days are removed by time that has passed, not by what the clock says."""

from __future__ import annotations

import random

from penstock.monitoring.prediction_log.log_directory import day_of
from penstock.monitoring.prediction_log.retention import (
    SLACK_DAYS,
    Mark,
    advance,
    first_mark,
    too_old,
)

DAY = 86_400.0
NOON = 1_700_049_600.0  # 2023-11-15 12:00 UTC
KEEP = 7


class Retained:
    """A log that gets rows every hour, under a clock that jumps; and when each day was written."""

    def __init__(self, days=()):
        self.passed = self.jump = 0.0
        self.days = dict.fromkeys(days, 0.0)
        self.start()

    @property
    def now(self):
        return NOON + self.passed + self.jump

    def start(self):
        """A start of the monitor: its monotonic clock says nothing of the time before."""
        self.origin = self.passed
        kept = self.mark.unix if hasattr(self, "mark") else None
        self.mark = first_mark(kept, max(self.days, default=None), self.now, 0.0)

    def hours(self, count):
        gone = []
        for _ in range(count):
            self.passed += 3600
            self.days.setdefault(day_of(self.now), self.passed)
            self.mark = advance(self.mark, self.now, self.passed - self.origin)
            old = too_old(self.days, self.mark, self.now, KEEP)
            gone.extend((day, self.passed - self.days.pop(day)) for day in old)
        return gone


def test_without_a_jump_days_go_as_they_always_did():
    days_run = Retained()
    gone = days_run.hours(24 * 20)
    assert len(gone) == 14
    assert all(6 <= age / DAY <= 8 for _, age in gone)
    assert len(days_run.days) == KEEP


def test_a_clock_that_jumps_forward_deletes_nothing():
    days_run = Retained()
    days_run.hours(24 * 3)
    before = set(days_run.days)
    days_run.jump = 30 * DAY
    assert days_run.hours(12) == []
    assert before < set(days_run.days)
    days_run.jump = 0.0  # somebody corrects it
    assert days_run.hours(24) == []
    assert before < set(days_run.days)


def test_nor_does_a_restart_under_a_wrong_clock():
    days_run = Retained()
    days_run.hours(24 * 5)
    before = set(days_run.days)
    days_run.jump = 300 * DAY
    days_run.start()
    assert days_run.hours(30) == []
    assert before < set(days_run.days)


def test_after_a_long_stop_old_days_go_when_there_are_as_many_new_ones():
    days_run = Retained()
    days_run.hours(24 * 5)
    before = set(days_run.days)
    days_run.passed += 200 * DAY
    days_run.start()
    gone = days_run.hours(24 * (KEEP + 1))
    assert {day for day, _ in gone} == before
    assert len(days_run.days) <= KEEP + 2


def test_a_server_that_is_stopped_at_night_keeps_its_days_hardly_longer():
    days_run = Retained()
    for _ in range(40):
        days_run.hours(10)
        days_run.passed += 14 * 3600
        days_run.start()
    assert len(days_run.days) <= KEEP + SLACK_DAYS + 1


def test_a_clock_that_goes_back_deletes_nothing():
    days_run = Retained()
    days_run.hours(24 * 5)
    before = set(days_run.days)
    days_run.jump = -100 * DAY
    assert days_run.hours(48) == []
    assert before <= set(days_run.days)


def test_under_random_jumps_and_restarts_no_day_goes_before_its_time():
    for seed in range(30):
        dice = random.Random(seed)
        days_run = Retained()
        days_run.hours(24)
        for _ in range(25):
            days_run.jump = dice.choice((0.0, 0.0, dice.uniform(0, 50) * DAY))
            if dice.random() < 0.3:
                days_run.start()
            before = len(days_run.days)
            for _, age in days_run.hours(dice.randrange(1, 40)):
                # By time that passed, or because so many later days have rows.
                assert age >= (KEEP - 2) * DAY or before + 2 >= KEEP + SLACK_DAYS


def test_the_mark_never_goes_back_and_never_ahead_of_time():
    mark = Mark(NOON, 0.0)
    assert advance(mark, NOON + 50 * DAY, 10.0).unix <= NOON + 11
    assert advance(mark, NOON - 50 * DAY, 10.0).unix == NOON
    assert advance(mark, NOON + 5.0, 10.0).unix == NOON + 5
