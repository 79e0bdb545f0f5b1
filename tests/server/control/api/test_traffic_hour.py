"""Requests per second by minute, from readings of the counters."""

from __future__ import annotations

from penstock.monitoring.metrics import layout
from penstock.server.control.api.traffic_hour import MINUTES, TrafficHour


def slots(requests):
    found = [0] * layout.SLOTS
    found[layout.STATUS] = requests
    return found


def test_the_versions_of_a_model_are_summed_and_what_is_no_model_is_left_out():
    hour = TrafficHour()
    hour.add(0.0, {("a", "1"): slots(10), ("a", ""): slots(99)})
    hour.add(60.0, {("a", "1"): slots(70), ("a", "2"): slots(60), ("b", "1"): slots(6)})
    assert hour.rates() == {"a": [2.0], "b": [0.1]}


def test_readings_within_a_minute_are_one():
    hour = TrafficHour()
    for second in range(0, 121, 10):
        hour.add(float(second), {("a", "1"): slots(second)})
    assert hour.rates() == {"a": [1.0, 1.0]}


def test_an_hour_is_kept_and_no_more():
    hour = TrafficHour()
    for minute in range(200):
        hour.add(60.0 * minute, {("a", "1"): slots(60 * minute)})
    assert hour.rates() == {"a": [1.0] * MINUTES}


def test_nothing_is_told_before_two_readings():
    hour = TrafficHour()
    assert hour.rates() == {}
    hour.add(0.0, {("a", "1"): slots(5)})
    assert hour.rates() == {"a": []}


def test_counters_that_began_anew_are_no_negative_traffic():
    hour = TrafficHour()
    hour.add(0.0, {("a", "1"): slots(100)})
    hour.add(60.0, {("a", "1"): slots(10)})
    assert hour.rates() == {"a": [0.0]}
