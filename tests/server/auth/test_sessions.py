"""Sessions of browsers: how long they last, what a link is worth, and that both are bounded."""

from __future__ import annotations

from penstock.server.auth.sessions import (
    LINK_SECONDS,
    MAX_LINKS,
    MAX_SESSIONS,
    SESSION_SECONDS,
    Sessions,
)


def test_a_session_is_found_by_its_cookie_until_it_ends():
    sessions = Sessions()
    cookie = sessions.open("ab", 100.0)
    found = sessions.find(cookie, 100.0 + SESSION_SECONDS - 1)
    assert found is not None
    assert found.sha256 == "ab"
    assert sessions.find(cookie, 100.0 + SESSION_SECONDS) is None
    assert sessions.find("", 100.0) is None


def test_two_sessions_share_neither_cookie_nor_secret():
    sessions = Sessions()
    first, second = (sessions.open("ab", 0.0) for _ in range(2))
    assert first != second
    assert sessions.find(first, 1.0).csrf != sessions.find(second, 1.0).csrf


def test_a_session_that_was_closed_is_over():
    sessions = Sessions()
    cookie = sessions.open("ab", 0.0)
    sessions.close(cookie)
    assert sessions.find(cookie, 0.0) is None
    sessions.close("never there")


def test_a_link_works_once_and_for_a_minute():
    sessions = Sessions()
    code = sessions.link("ab", 0.0)
    assert sessions.redeem(code, 1.0) == "ab"
    assert sessions.redeem(code, 1.0) is None
    late = sessions.link("ab", 0.0)
    assert sessions.redeem(late, LINK_SECONDS) is None


def test_sessions_and_links_are_bounded_and_the_oldest_end():
    sessions = Sessions()
    cookies = [sessions.open("ab", 0.0) for _ in range(MAX_SESSIONS + 1)]
    assert sessions.find(cookies[0], 1.0) is None
    assert all(sessions.find(one, 1.0) for one in cookies[1:])
    codes = [sessions.link("ab", 0.0) for _ in range(MAX_LINKS + 1)]
    assert sessions.redeem(codes[0], 1.0) is None
    assert all(sessions.redeem(one, 1.0) == "ab" for one in codes[1:])


def test_what_has_ended_makes_room():
    sessions = Sessions()
    for _ in range(MAX_SESSIONS):
        sessions.open("old", 0.0)
    kept = sessions.open("new", SESSION_SECONDS + 1)
    sessions.open("newer", SESSION_SECONDS + 2)
    assert sessions.find(kept, SESSION_SECONDS + 3).sha256 == "new"
