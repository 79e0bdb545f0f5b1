"""Errors that no caller is told of: counted exactly, logged seldom, told in words."""

from __future__ import annotations

import asyncio
import logging

import pytest

from penstock.server.errors.incidents import (
    MAX_PLACES,
    OTHER,
    QUIET_SECONDS,
    RECENT_SECONDS,
    Incidents,
    recent,
)


@pytest.fixture
def clock():
    class Clock:
        now = 0.0

        def __call__(self):
            return self.now

    return Clock()


def test_each_is_counted_and_few_are_logged(clock, caplog):
    incidents = Incidents(clock, clock)
    counts = []
    incidents.on_count = counts.append
    with caplog.at_level(logging.ERROR, "penstock.incidents"):
        for _ in range(50):
            incidents.note("the sweep", ValueError("a mistake"))
        clock.now = QUIET_SECONDS
        incidents.note("the sweep", ValueError("another"))
    assert counts == list(range(1, 52))
    assert [record.getMessage() for record in caplog.records] == [
        "the sweep failed: ValueError: a mistake",
        "the sweep failed: ValueError: another (49 more like it since the last line)",
    ]
    (told,) = incidents.report()
    assert told == {
        "place": "the sweep", "count": 51, "error": "ValueError: another", "at": QUIET_SECONDS,
    }  # fmt: skip


def test_the_status_has_what_is_recent(clock):
    incidents = Incidents(clock, clock)
    incidents.note("the link", OSError("the socket"))
    assert recent(incidents.report(), 3.0) == [
        "the link failed, 1 times in all, the last time 3 s ago: OSError: the socket"
    ]
    assert recent(incidents.report(), RECENT_SECONDS) == []


def test_places_are_bounded():
    incidents = Incidents()
    for number in range(3 * MAX_PLACES):
        incidents.note(f"place {number}", ValueError())
    report = incidents.report()
    assert len(report) == MAX_PLACES + 1
    assert sum(one["count"] for one in report) == incidents.total == 3 * MAX_PLACES
    assert {one["place"]: one["count"] for one in report}[OTHER] == 2 * MAX_PLACES


def test_errors_of_callbacks_and_forgotten_tasks_are_noted():
    class Timer:
        def tick(self):
            raise ArithmeticError

    async def forgotten():
        raise OSError

    async def main():
        loop = asyncio.get_running_loop()
        incidents = Incidents()
        loop.set_exception_handler(incidents.on_loop_error)
        for _ in range(3):
            loop.call_soon(Timer().tick)
        task = loop.create_task(forgotten())
        await asyncio.wait({task})
        del task
        await asyncio.sleep(0)
        return {one["place"]: (one["count"], one["error"]) for one in incidents.report()}

    told = asyncio.run(main())
    timer = "test_errors_of_callbacks_and_forgotten_tasks_are_noted.<locals>.Timer.tick"
    assert told == {
        f"callback {timer}": (3, "ArithmeticError"),
        "Task exception was never retrieved": (1, "OSError"),
    }
