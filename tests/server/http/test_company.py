"""Whether requests wait for those who were just answered."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.server.http.company import LONGEST_SECONDS, MOST_FUTILE, Company


def test_nobody_waits_when_all_are_back() -> None:
    company = Company()
    assert not company.expects({1}, 0.0)
    company.ran({1, 2}, 0.0)
    assert not company.expects({1, 2, 3}, 0.0)


def test_the_wait_counts_from_the_last_answers_and_ends() -> None:
    company = Company()
    company.ran({1, 2}, 1.0)
    assert company.expects({1}, 1.0)
    assert company.expects({1, 3}, 1.0 + 0.9 * LONGEST_SECONDS)
    assert not company.expects({1, 3}, 1.0 + 1.1 * LONGEST_SECONDS)


def test_who_comes_too_late_for_a_wait_has_not_made_it_futile() -> None:
    company = Company()
    company.ran({1}, 0.0)
    assert not company.expects({2}, 1.0)
    company.ran({2}, 1.0)
    assert company.wanted


def test_futile_waits_become_rare_and_one_that_pays_ends_that() -> None:
    company = Company()
    now, waits, runs = 0.0, 0, 3000
    for client in range(runs):  # none comes twice
        present = {client}
        if company.wanted:
            while company.expects(present, now):
                waits += 1
                now += LONGEST_SECONDS
        company.ran(present if company.wanted else frozenset(), now)
    assert waits < MOST_FUTILE + runs / 2**MOST_FUTILE + 2
    while not company.wanted:
        company.ran(frozenset(), now)
    company.ran({1, 2}, now)
    assert company.expects({1}, now)
    assert not company.expects({1, 2}, now)
    company.ran({1, 2}, now)
    assert company.wanted
    assert company.expects({1}, now)


@given(st.lists(st.tuples(st.sets(st.integers(0, 4), min_size=1), st.floats(0, 1e-4)), max_size=50))
def test_no_wait_is_longer_than_the_longest(steps: list[tuple[set[int], float]]) -> None:
    company = Company()
    now = answered = 0.0
    for present, gap in steps:
        now += gap
        if company.wanted and company.expects(present, now):
            assert now - answered <= LONGEST_SECONDS
        else:
            company.ran(present, now)
            answered = now
