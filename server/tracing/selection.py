"""Which predictions are traced."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Final

from .parent import Parent, read_parent

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Traces that one process makes in a second, so that tracing takes a hundredth of its time at most:
#: each takes the SDK about 0.2 ms.
MAX_PER_SECOND: Final = 50
#: Of these, how many may come at once.
MAX_AT_ONCE: Final = 10


class Selection:
    """Chooses predictions by the caller's flag, else by chance, up to a number in each second.

    Args:
        rate: Share of the predictions that are traced where the caller does not say, from 0 to 1.
        seed: Of the random numbers; ``None`` for any.
    """

    def __init__(self, rate: float, seed: int | None = None) -> None:
        self._rate = rate
        self._random = random.Random(seed)  # noqa: S311  nothing is kept secret
        self._until_next = self._gap()
        self._room = float(MAX_AT_ONCE)
        self._looked = 0.0

    def choose(self, traceparents: Sequence[bytes], now: float) -> list[tuple[int, Parent | None]]:
        """The places of the predictions that are traced, each with the caller's span.

        Args:
            traceparents: The header of each prediction; empty where it has none.
            now: Monotonic seconds.
        """
        chosen = []
        for place, given in enumerate(traceparents):
            parent = read_parent(given) if given else None
            if parent is None:
                self._until_next -= 1
                if self._until_next >= 0:
                    continue
                self._until_next = self._gap()
            elif not parent.sampled:
                continue
            if self._has_room(now):
                chosen.append((place, parent))
        return chosen

    def _gap(self) -> float:
        """How many predictions are passed over before the next one: geometrically distributed."""
        if self._rate <= 0:
            return math.inf
        if self._rate >= 1:
            return 0.0
        return math.floor(math.log(1.0 - self._random.random()) / math.log1p(-self._rate))

    def _has_room(self, now: float) -> bool:
        """A token bucket."""
        filled = self._room + max(0.0, now - self._looked) * MAX_PER_SECOND
        self._room, self._looked = min(filled, MAX_AT_ONCE), now
        if self._room < 1:
            return False
        self._room -= 1
        return True
