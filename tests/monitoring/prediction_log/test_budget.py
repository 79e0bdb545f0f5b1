"""How much may be written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.monitoring.prediction_log.budget import reserve, share, transaction_is_full, wal_bytes

LIMIT = 1 << 30


def test_everything_is_written_while_the_day_has_taken_less_than_half():
    assert share(LIMIT // 2 - 1, LIMIT, 1e9, 86_400) == 1.0


def test_what_is_left_of_the_limit_lasts_for_what_is_left_of_the_day():
    today, left = LIMIT * 3 // 4, 10_000.0
    part = share(today, LIMIT, 100_000.0, left)
    assert part * 100_000.0 * left == LIMIT - today


@given(st.integers(0, 2 * LIMIT), st.floats(0, 1e12), st.floats(0, 86_400))
def test_a_share_is_a_share(today, speed, left):
    assert 0 < share(today, LIMIT, speed, left) <= 1


def test_nothing_comes_then_nothing_is_thinned():
    assert share(LIMIT, LIMIT, 0.0, 3600) == 1.0


def test_a_transaction_and_its_log_take_a_part_of_the_limit():
    assert not transaction_is_full(reserve(10, 300), LIMIT)
    assert transaction_is_full(reserve(100_000, 300), LIMIT)
    assert wal_bytes(LIMIT) <= LIMIT // 8
    assert wal_bytes(64 << 20) == 2 << 20
