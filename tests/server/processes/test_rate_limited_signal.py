"""Saying that something happened: soon, with what comes until then, and not for ever."""

from __future__ import annotations

from penstock.server.worker.rate_limited_signal import DELAY_SECONDS, MAX_WORDS, RateLimitedSignal


class Loop:
    """Time that passes when it is told to."""

    def __init__(self):
        self.now = 0.0
        self.timers = []

    def time(self):
        return self.now

    def call_later(self, delay, callback):
        self.timers.append((self.now + delay, callback))
        return callback

    def pass_time(self, seconds):
        end = self.now + seconds
        while due := [one for one in self.timers if one[0] <= end]:
            first = min(due, key=lambda one: one[0])
            self.timers.remove(first)
            self.now = first[0]
            first[1]()
        self.now = end


def test_it_says_so_soon_and_once_for_all_that_came_until_then():
    loop, said = Loop(), []
    signal = RateLimitedSignal(loop, lambda: said.append(loop.now))
    signal()
    loop.pass_time(DELAY_SECONDS / 2)
    signal()
    assert said == []
    loop.pass_time(1.0)
    assert said == [DELAY_SECONDS]
    signal()
    loop.pass_time(1.0)
    assert len(said) == 2


def test_what_goes_on_all_the_time_is_said_seldom():
    loop, said = Loop(), []
    signal = RateLimitedSignal(loop, lambda: said.append(loop.now))
    for _ in range(10_000):
        signal()
        loop.pass_time(0.001)
    assert MAX_WORDS <= len(said) <= MAX_WORDS + 10
    loop.pass_time(3600.0)
    before = len(said)
    for _ in range(1000):
        signal()
        loop.pass_time(0.001)
    assert len(said) - before >= MAX_WORDS
