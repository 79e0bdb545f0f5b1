"""Predictions are chosen by the caller's flag, else by chance, never too many in a second."""

from __future__ import annotations

import pytest

from penstock.server.tracing.selection import MAX_AT_ONCE, MAX_PER_SECOND, Selection

SAMPLED = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
PASSED_OVER = SAMPLED[:-1] + b"0"


def test_the_flag_of_the_caller_decides() -> None:
    for rate in (0.0, 1.0):
        chosen = Selection(rate).choose([SAMPLED, PASSED_OVER, SAMPLED], 0.0)
        assert [place for place, _ in chosen] == [0, 2]


@pytest.mark.parametrize("rate", [0.01, 0.3])
def test_the_others_are_chosen_at_the_rate(rate: float) -> None:
    selection, number = Selection(rate, seed=3), 20_000  # one a second: there is always room
    chosen = sum(len(selection.choose([b""], second)) for second in range(number))
    assert abs(chosen - rate * number) < 5 * (rate * (1 - rate) * number) ** 0.5


def test_a_rate_of_nothing_chooses_none_and_of_one_all() -> None:
    assert Selection(0.0).choose([b""] * 5, 0.0) == []
    assert len(Selection(1.0).choose([b""] * 5, 0.0)) == 5


def test_a_second_has_room_for_so_many() -> None:
    selection = Selection(1.0)
    assert len(selection.choose([SAMPLED] * 1000, 7.0)) == MAX_AT_ONCE
    assert selection.choose([SAMPLED], 7.0) == []
    moments = [8.0 + number / 1000 for number in range(10_000)]
    chosen = sum(len(selection.choose([SAMPLED], now)) for now in moments)
    assert abs(chosen - 10 * MAX_PER_SECOND) <= MAX_AT_ONCE + 1
