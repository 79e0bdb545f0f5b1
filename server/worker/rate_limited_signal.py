"""Says that something happened, soon and not too often."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

#: From what happened to the word. What else came of the same cause, in either arm, is counted by
#: then: a look in between would see one arm's part of it alone.
DELAY_SECONDS: Final = 0.02
#: Words in a row; then as many a second as come back.
MAX_WORDS: Final = 20
WORDS_PER_SECOND: Final = 1.0


class RateLimitedSignal:
    """Call it when something happened. On the loop; costs next to nothing while it says nothing.

    A failure that goes on needs no further signal: control checks periodically anyway.

    Args:
        loop: Its clock and timers.
        say: Told that something happened.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, say: Callable[[], object]) -> None:
        self._loop = loop
        self._say = say
        self._words = float(MAX_WORDS)
        self._counted_at = loop.time()
        self._waiting = False

    def __call__(self) -> None:
        """Say it soon, once for all that happens until then."""
        if self._waiting:
            return
        now = self._loop.time()
        back = (now - self._counted_at) * WORDS_PER_SECOND
        self._words, self._counted_at = min(MAX_WORDS, self._words + back), now
        if self._words < 1.0:
            return
        self._words -= 1.0
        self._waiting = True
        self._loop.call_later(DELAY_SECONDS, self._tell)

    def _tell(self) -> None:
        self._waiting = False
        self._say()
