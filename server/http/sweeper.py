"""Enforces the time limits of all connections by one timer, in place of one per request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class Connection(Protocol):
    """A connection with time limits."""

    def sweep(self, now: float) -> None:
        """Enforce the time limits."""
        ...


class Sweeper:
    """Calls `Connection.sweep` about once per interval, and sleeps while there are none.

    Args:
        loop: The event loop.
        clock: Monotonic seconds.
        interval_seconds: Longest delay of a limit.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float], interval_seconds: float
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._interval = interval_seconds
        self._connections: set[Any] = set()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, connections: set[Any]) -> None:
        """Sweep this set until it is empty; it is the server's own set of connections."""
        if self._timer is None:
            self._connections = connections
            self._timer = self._loop.call_later(self._interval, self._sweep)

    def close(self) -> None:
        """Stop."""
        if self._timer is not None:
            self._timer.cancel()

    def _sweep(self) -> None:
        self._timer = None
        try:
            now = self._clock()
            for connection in list(self._connections):
                self._sweep_one(connection, now)
        finally:  # an error with one connection must not switch off the limits of all
            if self._connections:
                self._timer = self._loop.call_later(self._interval, self._sweep)

    def _sweep_one(self, connection: Connection, now: float) -> None:
        try:
            connection.sweep(now)
        except Exception as error:  # noqa: BLE001  the others have limits, too
            message = {"message": "sweeping a connection failed", "exception": error}
            self._loop.call_exception_handler(message)
