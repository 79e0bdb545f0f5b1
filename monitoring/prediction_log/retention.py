"""Decides which days of the prediction log are too old, by evidence that does not jump. Pure.

A wall clock that is wrong by a month must not cost a month of the log. There are two kinds of
evidence that a day is too old. The mark goes forward only as fast as time has really passed while
the log was written, which a monotonic clock tells; it is kept over restarts. And days that have
rows: a jump of the clock makes one or two of them, not as many as are to be kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

_DAY_SECONDS: Final = 86_400.0
#: Days with rows that a clock which jumps may make, and which are no evidence.
SLACK_DAYS: Final = 3


@dataclass(frozen=True, slots=True)
class Mark:
    """The latest moment that has surely passed.

    Attributes:
        unix: Unix seconds.
        monotonic: Monotonic seconds at that moment, of this process.
    """

    unix: float
    monotonic: float


def first_mark(kept: float | None, newest_day: str | None, now: float, monotonic: float) -> Mark:
    """At a start: what was kept, and no more; else the newest day on disk.

    Args:
        kept: The mark of an earlier incarnation, Unix seconds; ``None`` if there is none.
        newest_day: Of the days that are there, as ``2026-11-20``.
        now: Unix seconds.
        monotonic: The same moment.
    """
    if kept is None and newest_day is not None:
        days = (date.fromisoformat(newest_day) - date(1970, 1, 1)).days
        kept = (days + 1) * _DAY_SECONDS
    return Mark(now if kept is None else min(now, kept), monotonic)


def advance(mark: Mark, now: float, monotonic: float) -> Mark:
    """The mark later on: no further than time has passed, and never back.

    Args:
        mark: Before.
        now: Unix seconds.
        monotonic: The same moment.
    """
    passed = max(0.0, monotonic - mark.monotonic)
    return Mark(max(mark.unix, min(now, mark.unix + passed * (1 + 1e-3))), monotonic)


def too_old(days: Collection[str], mark: Mark, now: float, max_days: int) -> list[str]:
    """The days to remove, the oldest first.

    A day goes when the mark says so; or when the clock says so and `max_days` later days, and
    `SLACK_DAYS` more, have rows: the mark lags behind where the log was often not written.

    Args:
        days: That are kept.
        mark: See `advance`.
        now: Unix seconds.
        max_days: Days kept, the present one among them.
    """
    surely = _first(min(mark.unix, now), max_days)
    maybe = _first(now, max_days)
    ordered = sorted(days)
    old = []
    for place, day in enumerate(ordered):
        later = len(ordered) - place - 1
        if day < surely or (day < maybe and later >= max_days + SLACK_DAYS):
            old.append(day)
    return old


def _first(now: float, max_days: int) -> str:
    """The first day that is kept, by a time in Unix seconds."""
    today = date(1970, 1, 1) + timedelta(days=int(now // _DAY_SECONDS))
    return (today - timedelta(days=max_days - 1)).isoformat()
