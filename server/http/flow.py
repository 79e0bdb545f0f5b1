"""Tells the parent class of the calls that it does not see, so that order and flow hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uvicorn.protocols.http.flow_control import FlowControl

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class FastCycle:
    """Stands in the parent's ``cycle`` while fast calls are unanswered.

    The parent then queues its own requests behind them, and its shutdown tells us to close
    afterwards. The attributes are those that the parent reads.
    """

    __slots__ = ("disconnected", "keep_alive", "response_complete")

    def __init__(self) -> None:
        self.response_complete = True
        self.keep_alive = True
        self.disconnected = False

    @property
    def message_event(self) -> FastCycle:
        """The parent sets an event on disconnect; nobody waits for it here."""
        return self

    def set(self) -> None:
        """See `message_event`."""


class Flow(FlowControl):
    """Resumes reading: first with the received bytes that are not parsed, then from the socket."""

    def __init__(self, transport: asyncio.Transport, go_on: Callable[[], None]) -> None:
        super().__init__(transport)
        self._go_on = go_on

    def resume_reading(self) -> None:
        """See `FlowControl.resume_reading`."""
        super().resume_reading()
        self._go_on()
