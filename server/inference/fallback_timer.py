"""Ends the wait of calls whose canary does not answer in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from .call import Call

#: Seconds between two checks while there are calls; one timer for all costs less than one for each.
TICK_SECONDS: Final = 0.025


class FallbackTimer:
    """Calls `overdue` once for each call whose time is over.

    Attributes:
        end: Called with calls that ``overdue`` failed at, and its error.

    Args:
        loop: The event loop that all methods run on.
        due_at: Time at which a call's time is over; may become earlier while the call is watched.
        overdue: Called with the call, which is not watched any more then.
        clock: Monotonic seconds.
    """

    __slots__ = ("_calls", "_clock", "_due_at", "_loop", "_overdue", "_ticking", "end")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        due_at: Callable[[Call], float],
        overdue: Callable[[Call], None],
        clock: Callable[[], float],
    ) -> None:
        self._loop = loop
        self._due_at = due_at
        self._overdue = overdue
        self._clock = clock
        self.end: Callable[[Sequence[Call], Exception], object] = _raise
        self._calls: dict[Call, None] = {}
        self._ticking = False

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, call: Call) -> None:
        """Watch the call until it is discarded or overdue."""
        self._calls[call] = None
        if not self._ticking:
            self._ticking = True
            self._loop.call_later(TICK_SECONDS, self._tick)

    def discard(self, call: Call) -> None:
        """Stop watching a call, because it is over."""
        self._calls.pop(call, None)

    def _tick(self) -> None:
        self._ticking = False
        try:
            now = self._clock()
            for call in [call for call in self._calls if now >= self._due_at(call)]:
                if call in self._calls:  # ending one call may end another
                    del self._calls[call]
                    self._tell(call)
        finally:  # an error with one call must not keep the other calls waiting
            if self._calls and not self._ticking:
                self._ticking = True
                self._loop.call_later(TICK_SECONDS, self._tick)

    def _tell(self, call: Call) -> None:
        try:
            self._overdue(call)
        except Exception as error:  # noqa: BLE001  it is not watched any more, so it ends here
            self.end([call], error)


def _raise(_: Sequence[Call], error: Exception) -> None:
    raise error
