"""Server-sent events that tell open pages when to show themselves anew.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from starlette.responses import StreamingResponse

from penstock.server.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

#: Between two events.
STEP_SECONDS: Final = 2.0
#: Pages that are told at a time, and how long one stream lasts: the browser opens another.
MAX_STREAMS: Final = 32
STREAM_SECONDS: Final = 300.0


class Live:
    """The streams of a server; bounded in number and time.

    Args:
        stopping: Is set when the server is told to stop: it waits for no stream.
    """

    def __init__(self, stopping: asyncio.Event) -> None:
        self._stopping = stopping
        self._streams = 0

    def stream(self) -> StreamingResponse:
        """A stream for one page.

        Raises:
            Unavailable: There are as many as there may be.
        """
        if self._streams >= MAX_STREAMS:
            raise Unavailable(f"{MAX_STREAMS} pages are open already; load the page again by hand")
        return StreamingResponse(
            self._events(), media_type="text/event-stream", headers={"cache-control": "no-store"}
        )

    async def _events(self) -> AsyncIterator[bytes]:
        self._streams += 1
        try:
            for _ in range(int(STREAM_SECONDS / STEP_SECONDS)):
                try:
                    await asyncio.wait_for(self._stopping.wait(), STEP_SECONDS)
                except TimeoutError:
                    yield b"data: renew\n\n"
                else:
                    return
        finally:
            self._streams -= 1
