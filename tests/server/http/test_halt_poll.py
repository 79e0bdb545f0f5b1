from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from penstock.server.inference.halt_poll import LONGEST_SECONDS, HaltPoll, polling_seconds

if TYPE_CHECKING:
    from collections.abc import Callable


class FakeLoop:
    """Runs what was scheduled one iteration at a time; each takes a microsecond."""

    def __init__(self) -> None:
        self.now = 1.0
        self.soon: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def spin(self) -> float:
        """Iterate until the loop would block; returns for how long it did not."""
        began = self.now
        while self.soon:
            callbacks, self.soon = self.soon, []
            self.now += 1e-6
            for callback in callbacks:
                callback()
        return self.now - began


def after_gaps(gap: float, count: int = 100) -> float:
    """How long the loop stays awake after the last of many answers with such gaps between."""
    loop = FakeLoop()
    poll = HaltPoll(loop, lambda: loop.now)  # type: ignore[arg-type]
    awake = 0.0
    for _ in range(count):
        arrival = loop.now = loop.now + gap
        poll.answered(arrival, loop.now)
        awake = loop.spin()
        loop.now -= awake  # the next request comes when it comes
    return awake


@pytest.mark.parametrize("gap", [10e-6, 40e-6, 90e-6])
def test_the_loop_stays_awake_for_about_two_short_gaps(gap: float) -> None:
    assert after_gaps(gap) == pytest.approx(2 * gap, abs=3e-6)


@pytest.mark.parametrize("gap", [150e-6, 1e-3, 1.0])
def test_long_gaps_are_slept_through(gap: float) -> None:
    assert after_gaps(gap) == 0.0


def test_an_idle_server_polls_no_more_after_its_last_answer() -> None:
    loop = FakeLoop()
    poll = HaltPoll(loop, lambda: loop.now)  # type: ignore[arg-type]
    for _ in range(100):
        poll.answered(loop.now, loop.now)
    assert loop.spin() <= 2 * LONGEST_SECONDS + 1e-6
    assert not loop.soon


def test_the_first_answers_do_not_poll() -> None:
    assert after_gaps(40e-6, count=5) == 0.0


def test_polling_is_bounded() -> None:
    assert polling_seconds(LONGEST_SECONDS) <= 2 * LONGEST_SECONDS
    assert polling_seconds(LONGEST_SECONDS * 1.01) == 0.0
