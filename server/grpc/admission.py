"""Whether a gRPC port still takes calls, and when its callers have heard that it does not."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from penstock.server.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from grpc.aio import ServicerContext


class Admission:
    """Takes calls until it is closed, and refuses them from then on.

    gRPC ends a connection by a message that its client may get after it has sent one more call.
    gRPC drops such a call, and the client does not learn that it may try again. So a port that
    stops first refuses calls by a status that says so, until no more come.

    Args:
        clock: Monotonic seconds.

    Attributes:
        closed: Is set when no more calls are taken.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = 0.0
        self._in_progress = 0
        self.closed = asyncio.Event()

    def admit(self, context: ServicerContext[Any, Any]) -> None:
        """Take a call, which is in progress until its answer is sent.

        Raises:
            Unavailable: No more calls are taken.
        """
        self.check()
        self._in_progress += 1
        # The stubs name a class where any function will do.
        context.add_done_callback(self._note_end)  # type: ignore[arg-type]

    def check(self) -> None:
        """Let a call pass that is counted already.

        Raises:
            Unavailable: No more calls are taken.
        """
        if self.closed.is_set():
            self._last = self._clock()
            raise Unavailable(
                "the server is stopping: the request was not executed", retry_after_seconds=1
            )

    def _note_end(self, _: ServicerContext[Any, Any]) -> None:
        self._in_progress -= 1

    async def close(self, quiet_seconds: float, most_seconds: float, grace_seconds: float) -> None:
        """Refuse calls from now on; returns when all are answered and none has come for a while.

        Args:
            quiet_seconds: That while.
            most_seconds: After which it returns although calls still come.
            grace_seconds: After which it returns although calls are in progress.
        """
        self.closed.set()
        began = self._last = self._clock()
        never = asyncio.Event()
        while (now := self._clock()) - began < grace_seconds:
            heard = now - self._last >= quiet_seconds or now - began >= most_seconds
            if heard and not self._in_progress:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(quiet_seconds / 4):
                    await never.wait()
