"""Answers that are made once and shared by all who ask."""

from __future__ import annotations

import asyncio

import pytest

from penstock.server.errors import Unavailable
from penstock.server.ports import shared
from penstock.server.ports.shared import SharedAnswers


class Maker:
    """Makes an answer when it is let go."""

    def __init__(self) -> None:
        self.made: list[object] = []
        self.go = asyncio.Event()

    async def __call__(self, kind: object) -> str:
        self.made.append(kind)
        await self.go.wait()
        if kind == "bad":
            raise OSError("no")
        return f"{kind} {len(self.made)}"


def test_however_many_ask_and_go_away_it_is_made_once() -> None:
    async def main() -> None:
        maker = Maker()
        answers = SharedAnswers(maker, 1.0, clock=lambda: 0.0)
        waits = [asyncio.create_task(answers.get("text")) for _ in range(200)]
        await asyncio.sleep(0)
        for wait in waits[:-1]:
            wait.cancel()
        await asyncio.gather(*waits[:-1], return_exceptions=True)
        maker.go.set()
        assert await waits[-1] == "text 1"
        assert maker.made == ["text"]

    asyncio.run(main())


def test_it_is_kept_for_so_long_and_each_kind_by_itself() -> None:
    async def main() -> None:
        maker, now = Maker(), [0.0]
        maker.go.set()
        answers = SharedAnswers(maker, 1.0, clock=lambda: now[0])
        assert [await answers.get(kind) for kind in ("a", "b", "a")] == ["a 1", "b 2", "a 1"]
        now[0] = 1.0
        assert await answers.get("a") == "a 1"
        now[0] = 1.1
        assert await answers.get("a") == "a 3"
        for number in range(100):
            await answers.get(number)
        assert len(answers._made) == shared.MAX_KINDS

    asyncio.run(main())


def test_answers_before_their_time_take_a_part_of_the_time_at_most() -> None:
    async def main() -> None:
        now, made = [0.0], [0]

        async def make(_: object) -> int:
            now[0] += 0.05  # what it takes
            made[0] += 1
            return made[0]

        answers = SharedAnswers(make, 1.0, 0.1, lambda: now[0])
        assert await answers.get() == 1
        while now[0] < 100:
            await answers.get()
            now[0] += 0.001
        assert 180 <= made[0] <= 210  # a tenth of 100 seconds in pieces of 0.05
        now[0] += 50
        fresh = [await answers.get() for _ in range(20)]
        assert len(set(fresh)) == 6  # what was saved up, and no more

    asyncio.run(main())


def test_an_error_is_told_to_all_who_wait_and_not_kept() -> None:
    async def main() -> None:
        maker = Maker()
        answers = SharedAnswers(maker)
        waits = [asyncio.create_task(answers.get("bad")) for _ in range(3)]
        await asyncio.sleep(0)
        maker.go.set()
        told = await asyncio.gather(*waits, return_exceptions=True)
        assert [type(one) for one in told] == [OSError] * 3
        with pytest.raises(OSError, match="no"):
            await answers.get("bad")
        assert len(maker.made) == 2

    asyncio.run(main())


def test_who_comes_when_too_many_wait_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "MAX_WAITING", 3)

    async def main() -> None:
        maker = Maker()
        answers = SharedAnswers(maker)
        waits = [asyncio.create_task(answers.get()) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await answers.get()
        maker.go.set()
        assert await asyncio.gather(*waits) == ["None 1"] * 3

    asyncio.run(main())


def test_a_task_of_a_loop_that_is_gone_holds_nobody_up() -> None:
    maker_of: list[Maker] = []

    async def make(kind: object) -> str:
        return await maker_of[-1](kind)

    answers = SharedAnswers(make)

    async def leave() -> None:
        maker_of.append(Maker())
        wait = asyncio.create_task(answers.get("a"))
        await asyncio.sleep(0.01)
        wait.cancel()

    async def ask() -> str:
        maker_of.append(Maker())
        maker_of[-1].go.set()
        return await answers.get("a")

    asyncio.run(leave())
    assert asyncio.run(ask()) == "a 1"
