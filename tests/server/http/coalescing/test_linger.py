"""Whether requests wait for those who were just answered."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.server.http.coalescing.linger import LONGEST_SECONDS, MOST_FUTILE, Linger


def test_nobody_waits_when_all_are_back() -> None:
    linger = Linger()
    assert not linger.expects({1}, 0.0)
    linger.ran({1, 2}, 0.0)
    assert not linger.expects({1, 2, 3}, 0.0)


def test_the_wait_counts_from_the_last_answers_and_ends() -> None:
    linger = Linger()
    linger.ran({1, 2}, 1.0)
    assert linger.expects({1}, 1.0)
    assert linger.expects({1, 3}, 1.0 + 0.9 * LONGEST_SECONDS)
    assert not linger.expects({1, 3}, 1.0 + 1.1 * LONGEST_SECONDS)


def test_who_comes_too_late_for_a_wait_has_not_made_it_futile() -> None:
    linger = Linger()
    linger.ran({1}, 0.0)
    assert not linger.expects({2}, 1.0)
    linger.ran({2}, 1.0)
    assert linger.wanted


def test_futile_waits_become_rare_and_one_that_pays_ends_that() -> None:
    linger = Linger()
    now, waits, runs = 0.0, 0, 3000
    for client in range(runs):  # none comes twice
        present = {client}
        if linger.wanted:
            while linger.expects(present, now):
                waits += 1
                now += LONGEST_SECONDS
        linger.ran(present if linger.wanted else frozenset(), now)
    assert waits < MOST_FUTILE + runs / 2**MOST_FUTILE + 2
    while not linger.wanted:
        linger.ran(frozenset(), now)
    linger.ran({1, 2}, now)
    assert linger.expects({1}, now)
    assert not linger.expects({1, 2}, now)
    linger.ran({1, 2}, now)
    assert linger.wanted
    assert linger.expects({1}, now)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sets(st.integers(0, 4), min_size=1), st.floats(0, 1e-4)), max_size=50))
def test_no_wait_is_longer_than_the_longest(steps: list[tuple[set[int], float]]) -> None:
    linger = Linger()
    now = answered = 0.0
    for present, gap in steps:
        now += gap
        if linger.wanted and linger.expects(present, now):
            assert now - answered <= LONGEST_SECONDS
        else:
            linger.ran(present, now)
            answered = now
