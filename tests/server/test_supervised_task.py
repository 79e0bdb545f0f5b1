"""Background work that ends, by whatever error, is told of and started again."""

from __future__ import annotations

import asyncio

import pytest

from penstock.server.errors.incidents import Incidents
from penstock.server.processes.supervised_task import MAX_PAUSE_SECONDS, SupervisedTask


class Work:
    """Ends in the ways that it was given, one after the other, and then goes on for ever."""

    def __init__(self, *ends):
        self.ends = list(ends)
        self.histories = 0
        self.now = 0.0
        self.pauses = []
        self.steady = asyncio.Event()
        self.incidents = Incidents()

    async def run(self):
        self.histories += 1
        if not self.ends:
            self.steady.set()
            await asyncio.Event().wait()
        end = self.ends.pop(0)
        if end is not None:
            raise end

    async def sleep(self, seconds):
        self.pauses.append(seconds)
        await asyncio.sleep(0)

    def supervised(self, **options):
        return SupervisedTask(
            "the work",
            self.run,
            self.incidents,
            clock=lambda: self.now,
            sleep=self.sleep,
            **options,
        )


@pytest.mark.parametrize(
    "end",
    [
        ValueError("a mistake"),
        SystemExit(1),
        KeyboardInterrupt(),
        asyncio.CancelledError(),
        None,
        ExceptionGroup("one of several", [OSError("the disk")]),
    ],
    ids=repr,
)
def test_work_that_ends_is_told_of_and_started_again(end):
    async def main():
        work = Work(end, end)
        task = work.supervised()
        await work.steady.wait()
        assert work.histories == 3
        (told,) = work.incidents.report()
        assert (told["place"], told["count"]) == ("the work", 2)
        expected = {None: "TaskEnded"}.get(end, type(end).__name__)
        assert told["error"].startswith(
            "OSError: the disk" if isinstance(end, ExceptionGroup) else expected
        )
        await task.stop()

    asyncio.run(asyncio.wait_for(main(), 20))


def test_pauses_grow_to_a_bound_and_begin_anew_after_a_long_life():
    async def main():
        work = Work(*[OSError()] * 12)
        run = work.run

        async def long_run():
            if work.histories == 10:
                work.now += 1000.0
            await run()

        work.run = long_run
        task = work.supervised()
        await work.steady.wait()
        assert work.pauses[:4] == [0.1, 0.2, 0.4, 0.8]
        assert max(work.pauses) == MAX_PAUSE_SECONDS
        assert work.pauses[10:] == [0.1, 0.2]
        await task.stop()

    asyncio.run(asyncio.wait_for(main(), 20))


def test_it_stops_at_work_and_in_a_pause():
    async def main():
        work = Work()
        task = work.supervised()
        await work.steady.wait()
        await task.stop()
        failing = Work(*[OSError()] * 100)
        resting = asyncio.Event()

        async def rest(_):
            resting.set()
            await asyncio.Event().wait()

        failing.sleep = rest
        task = failing.supervised()
        await resting.wait()
        await task.stop()
        assert failing.histories == 1

    asyncio.run(asyncio.wait_for(main(), 20))


def test_work_that_may_end_is_not_started_again_when_it_has():
    async def main():
        work = Work(OSError(), None)
        task = work.supervised(may_end=True)
        await task._task
        assert work.histories == 2
        assert work.incidents.total == 1
        await task.stop()

    asyncio.run(asyncio.wait_for(main(), 20))
