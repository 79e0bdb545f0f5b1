"""Gives the answer of a call to a task, where a task waits for each call: ASGI and gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from penstock.server.codecs.negotiate import Body

    from .call import Call

    #: Status and header lines as HTTP has them, and the body.
    Answer = tuple[int, bytes, Body]


class FutureWriter:
    """Gives the answer of one call to the task that waits for it.

    Implements `penstock.server.inference.call.ResponseWriter`.

    Attributes:
        answered: Is done when the call has its answer.
        peer: See `ResponseWriter`.
    """

    __slots__ = ("answered", "peer")

    def __init__(self, loop: asyncio.AbstractEventLoop, peer: str = "") -> None:
        self.peer = peer.encode()
        self.answered: asyncio.Future[Answer] = loop.create_future()

    def respond(self, call: Call, status: int, headers: bytes, body: Body) -> None:  # noqa: ARG002
        """See `ResponseWriter`."""
        if not self.answered.done():
            self.answered.set_result((status, headers, body))

    def response_head(self, status: int) -> bytes:  # noqa: ARG002
        """See `ResponseWriter`: there are no bytes before the header lines."""
        return b""

    def answer(self, call: Call, answer: bytes) -> bool:  # noqa: ARG002
        """See `ResponseWriter`: an answer is never one piece of bytes."""
        return False

    def owes(self, call: Call) -> bool:  # noqa: ARG002
        """See `ResponseWriter`."""
        return not self.answered.done()
