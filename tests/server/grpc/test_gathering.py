"""Calls wait for those that are expected, briefly, and a caller that is alone hardly ever."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import pytest

from penstock.server.grpc.gathering import (
    GAP_SECONDS,
    LONGEST_SECONDS,
    MORE_SECONDS,
    MOST_CALLS,
    MOST_FUTILE,
    Gathering,
)

if TYPE_CHECKING:
    from collections.abc import Callable

#: Of an iteration of the loop that has nothing else to do.
STEP = 10e-6


class Loop:
    """An event loop whose iterations take `STEP`, with calls that come at given times."""

    def __init__(self) -> None:
        self.now = 0.0
        self.served: list[tuple[float, list[str]]] = []
        self.coming: deque[tuple[float, Callable[[], object]]] = deque()
        self._ready: deque[Callable[[], object]] = deque()
        self.gathering: Gathering[str] = Gathering(
            self,  # type: ignore[arg-type]
            lambda: self.now,
            lambda calls: self.served.append((self.now, calls)),
        )

    def call_soon(self, callback: Callable[[], object]) -> None:
        self._ready.append(callback)

    def call(self, name: str) -> None:
        self.gathering.add(name, self.now)

    def at(self, seconds: float, what: Callable[..., object], *args: Any) -> None:
        self.coming.append((seconds, lambda: what(*args)))

    def iterate(self) -> None:
        while self.coming and self.coming[0][0] <= self.now:
            self.coming.popleft()[1]()
        for _ in range(len(self._ready)):
            self._ready.popleft()()
        self.now += STEP

    def run(self) -> None:
        """Iterate until all that comes has come and been served."""
        while self.coming or self._ready:
            self.iterate()

    def groups(self) -> list[int]:
        return [len(calls) for _, calls in self.served]


@pytest.fixture
def loop() -> Loop:
    return Loop()


def test_a_lonely_caller_waits_rarely_and_shortly(loop: Loop) -> None:
    waits = []
    for number in range(2000):
        began = loop.now
        loop.call(str(number))
        loop.run()
        waits.append(loop.served[-1][0] - began)
        loop.now += 1e-3
    waited = [one for one in waits if one > 2 * STEP]
    assert loop.groups() == [1] * 2000
    assert len(waited) <= MOST_FUTILE + 1 + 2000 / 2**MOST_FUTILE
    assert max(waits) <= MORE_SECONDS + 2 * STEP


def quiet(loop: Loop) -> None:
    """Calls that nothing follows, until no more is hoped for."""
    for number in range(40):
        loop.call(f"quiet {number}")
        loop.run()
        loop.now += 1e-3
    loop.served.clear()


def test_an_announced_call_is_waited_for(loop: Loop) -> None:
    quiet(loop)
    loop.call("first")
    loop.gathering.announce()
    loop.at(loop.now + GAP_SECONDS / 2, loop.call, "announced")
    loop.run()
    assert [calls for _, calls in loop.served] == [["first", "announced"]]


def test_an_announced_call_that_does_not_come_is_waited_for_once(loop: Loop) -> None:
    quiet(loop)
    loop.gathering.announce()
    waits = []
    for _ in range(2):
        began = loop.now
        loop.gathering.announce()
        loop.call("call")
        loop.run()
        waits.append(loop.served[-1][0] - began)
        loop.now += 1e-3
    assert GAP_SECONDS / 2 < waits[0] <= GAP_SECONDS + 2 * STEP
    assert waits[1] <= 2 * STEP


def test_callers_that_ran_together_run_together_again(loop: Loop) -> None:
    quiet(loop)
    for name in "abcd":
        loop.call(name)
    loop.run()
    assert loop.groups() == [4]
    for number, name in enumerate("abcd"):
        loop.at(loop.now + number * GAP_SECONDS / 2, loop.call, name)
    loop.run()
    assert loop.groups() == [4, 4]


def test_a_group_grows_until_it_has_nearly_all_callers(loop: Loop) -> None:
    """Each of 32 callers asks again after its answer; a call comes with each third iteration."""
    callers = deque(f"caller {number}" for number in range(32))
    for iteration in range(30_000):
        if callers and iteration % 3 == 0:
            loop.call(callers.popleft())
        served = len(loop.served)
        loop.iterate()
        for _, calls in loop.served[served:]:
            callers.extend(calls)
    last = loop.groups()[-50:]
    assert sum(last) / len(last) > 24


def test_no_call_waits_for_longer_than_the_limit(loop: Loop) -> None:
    loop.call("first")
    for number in range(20):
        loop.at(number * GAP_SECONDS / 2, loop.gathering.announce)
        loop.at(number * GAP_SECONDS / 2, loop.call, str(number))
    loop.run()
    assert loop.served[0][0] <= LONGEST_SECONDS + 2 * STEP


def test_a_full_group_does_not_wait(loop: Loop) -> None:
    loop.gathering.announce()
    for number in range(MOST_CALLS):
        loop.call(str(number))
    loop.gathering.announce()
    loop.run()
    assert loop.groups() == [MOST_CALLS]
    assert loop.served[0][0] == 0.0
