"""Decides after an attempt: delivered, given up, or a time for the next. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .reply import Reply
    from .sink import Sink

PENDING: Final = "pending"
DELIVERED: Final = "delivered"
FAILED: Final = "failed"
SKIPPED: Final = "skipped"
MUTED: Final = "muted"

FIRST_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 900.0
#: More than this a receiver cannot ask for.
_MAX_RETRY_AFTER: Final = 3600.0
#: Answers that another attempt will not change.
_FINAL: Final = frozenset({301, 302, 303, 307, 308, 400, 405, 410, 413, 414, 415, 422})


@dataclass(frozen=True, slots=True)
class Verdict:
    """The next state of a delivery.

    Attributes:
        status: `PENDING`, `DELIVERED` or `FAILED`.
        next_at: Unix seconds of the next attempt, when pending.
        detail: One line for people.
    """

    status: str
    next_at: float
    detail: str


def next_attempt(
    reply: Reply, sink: Sink, attempts: int, alert_time: float, now: float, jitter: float
) -> Verdict:
    """Decide after an attempt.

    Args:
        reply: Result of the attempt.
        sink: The sink, whose limits hold.
        attempts: Made so far, this one included.
        alert_time: Unix seconds of the alert, or of the end of a mute that held it.
        now: Unix seconds.
        jitter: From 0 to 1, random: receivers that come back are not met by all at once.
    """
    if reply.done:
        return Verdict(DELIVERED, now, reply.detail)
    if reply.status in _FINAL:
        return Verdict(FAILED, now, f"{reply.detail}; not tried again")
    if attempts >= sink.max_attempts:
        return Verdict(FAILED, now, f"{reply.detail}; given up after {attempts} attempts")
    pause = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(attempts - 1, 30))
    pause = max(pause * (0.5 + 0.5 * jitter), min(reply.retry_after, _MAX_RETRY_AFTER))
    if now + pause - alert_time > sink.max_age_seconds:
        return Verdict(FAILED, now, f"{reply.detail}; given up, too old")
    return Verdict(PENDING, now + pause, reply.detail)
