"""An error in one turn of a timer ends neither the turn of the others nor the timer."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from penstock.server.http.sweeper import Sweeper
from penstock.server.inference.fallback_timer import FallbackTimer


def run(main):
    async def guarded():
        told = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
        async with asyncio.timeout(60):
            await main(loop)
        return [type(error) for error in told]

    return asyncio.run(guarded())


class Connection:
    def __init__(self, error=None):
        self.error = error
        self.swept = asyncio.Queue()

    def sweep(self, now):
        self.swept.put_nowait(now)
        if self.error is not None:
            raise self.error


def test_a_connection_that_cannot_be_swept_leaves_the_others_their_limits():
    async def main(loop):
        connections = {Connection(), Connection(ArithmeticError()), Connection()}
        sweeper = Sweeper(loop, loop.time, 0.001)
        sweeper.watch(connections)
        for _ in range(3):
            for one in connections:
                await one.swept.get()
        sweeper.close()

    assert set(run(main)) == {ArithmeticError}


def test_a_clock_that_fails_once_does_not_end_the_sweeps():
    async def main(loop):
        times = iter([ArithmeticError(), 1.0, 2.0])

        def clock():
            now = next(times, 3.0)
            if isinstance(now, Exception):
                raise now
            return now

        connection = Connection()
        sweeper = Sweeper(loop, clock, 0.001)
        sweeper.watch({connection})
        assert [await connection.swept.get() for _ in range(3)] == [1.0, 2.0, 3.0]
        sweeper.close()

    assert run(main) == [ArithmeticError]


@pytest.mark.parametrize("failing", ["overdue", "due_at"])
def test_a_call_that_cannot_be_given_up_ends_and_the_others_are_given_up(failing):
    async def main(loop):
        given_up, ended = asyncio.Queue(), []
        history = iter(range(100))

        def due_at(call):
            if failing == "due_at" and next(history) == 0:
                raise ArithmeticError
            return 0.0

        def overdue(call):
            if failing == "overdue" and call.name == "odd":
                raise ArithmeticError
            given_up.put_nowait(call.name)

        watch = FallbackTimer(loop, due_at, overdue, loop.time)
        watch.end = lambda calls, error: ended.append((calls[0].name, type(error)))
        calls = [Call(name) for name in ("odd", "one", "two")]
        for call in calls:
            watch.add(call)
        expected = {"one", "two"} if failing == "overdue" else {"odd", "one", "two"}
        assert {await given_up.get() for _ in expected} == expected
        assert ended == ([("odd", ArithmeticError)] if failing == "overdue" else [])
        watch.add(Call("later"))
        assert await given_up.get() == "later"

    assert run(main) == ([] if failing == "overdue" else [ArithmeticError])


class Call(SimpleNamespace):
    """As much of a call as a watch needs."""

    def __init__(self, name):
        super().__init__(name=name)

    __hash__ = object.__hash__
