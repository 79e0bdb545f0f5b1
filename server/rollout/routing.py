"""Which arm of a split serves a request, and how long that may take. Pure."""

from __future__ import annotations

import math
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .traffic import Split

STABLE: Final = "stable"
CANARY: Final = "canary"

#: How long an answer may take where the split does not say what is slow, in seconds.
TIMEOUT_SECONDS: Final = 10.0
#: Where it does: so many times that, and no less than the next.
TIMEOUT_FACTOR: Final = 10.0
LEAST_TIMEOUT_SECONDS: Final = 1.0
#: Of the time until a request's own deadline; what is left is for stable to answer in time.
DEADLINE_SHARE: Final = 0.8

_HASH_BYTES: Final = 8
_SPAN: Final = 1 << (8 * _HASH_BYTES)
_EVERY: Final = b"\xff" * (_HASH_BYTES + 1)  # above every hash


class Chooser:
    """Chooses the arm by a hash of the unit, so that the same unit always has the same arm.

    A unit is a user, or a request. Its hash does not depend on the share: one that grows takes
    units from stable and gives none back. After a promotion the version before keeps the units that
    the candidate had first, so that every unit has had the candidate. The hash does depend on the
    rollout, so that no unit is always the first to try what is new.

    Args:
        split: The split of the requests.
    """

    __slots__ = ("_below", "_key", "_limit")

    def __init__(self, split: Split) -> None:
        self._key = blake2b(split.rollout.encode(), digest_size=32).digest()
        self._below = not split.watching
        percent = split.percent if self._below else 100.0 - split.percent
        limit = round(min(max(percent, 0.0), 100.0) / 100 * _SPAN)
        self._limit = _EVERY if limit >= _SPAN else limit.to_bytes(_HASH_BYTES, "big")

    def is_canary(self, unit: bytes) -> bool:
        """Whether the canary serves this unit."""
        digest = blake2b(unit, digest_size=_HASH_BYTES, key=self._key).digest()
        return (digest < self._limit) is self._below


def surely_in_time(split: Split, slow_seconds: float) -> float:
    """Up to this latency an answer is neither slow nor late, unless its request has a deadline.

    Args:
        split: The split of the requests.
        slow_seconds: From when on an answer is slow now; 0 for never.
    """
    return min(slow_seconds or math.inf, given_up_at(split, 0.0, math.inf))


def given_up_at(split: Split, arrival: float, deadline: float) -> float:
    """The time at which a request without an answer counts as timed out; the same in both arms.

    Args:
        split: The split of the requests.
        arrival: Arrival of the request, in seconds of any clock.
        deadline: Time after which an answer is of no use, by the same clock; may be infinite.
    """
    timeout = TIMEOUT_SECONDS
    if split.slow_seconds:
        timeout = max(LEAST_TIMEOUT_SECONDS, TIMEOUT_FACTOR * split.slow_seconds)
    return arrival + min(timeout, DEADLINE_SHARE * (deadline - arrival))
