"""The worker's end of the way of labels: a body goes to the monitor and waits for its answer.

Labels have a connection of their own, so that they do not queue behind samples. Nothing is kept
here: who is told 503 sends again, and labels that arrive twice are kept once.
"""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from penstock.server.errors import InvalidRequest, Unavailable
from penstock.server.processes.frames import BadFrame, pack_frame, read_frame

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from pathlib import Path

#: How long a client waits for its labels to be on the disk.
ANSWER_SECONDS: Final = 5.0
#: Bodies under way; beyond that a client is told to come back.
MAX_WAITING: Final = 8
RETRY_SECONDS: Final = 1


class FeedbackClient:
    """Hands bodies over. One event loop.

    Args:
        path: The monitor's socket.
        timeout_seconds: For each body.
    """

    def __init__(self, path: Path, timeout_seconds: float = ANSWER_SECONDS) -> None:
        self._path = path
        self._timeout_seconds = timeout_seconds
        self._connecting = asyncio.Lock()
        self._writer: StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._numbers = count()
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def hand_over(
        self, body: bytes, *, packed: bool, partial: bool = False
    ) -> dict[str, Any]:
        """Labels accepted, and how many of each outcome; on the monitor's disk.

        Args:
            body: As the client sent it: JSON, or msgpack.
            packed: Whether it is msgpack.
            partial: Whether to keep those that are understood if others are not.

        Raises:
            InvalidRequest: A label is not one, and `partial` is not set; nothing was kept.
            Unavailable: The monitor is away, too slow, or cannot write.
        """
        if len(self._asked) >= MAX_WAITING:
            raise _away("too many labels are on their way")
        number = next(self._numbers)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            async with asyncio.timeout(self._timeout_seconds):
                writer = await self._connect()
                how = {"packed": packed, "partial": partial}
                writer.write(pack_frame("feedback", number=number, body=body, **how))
                await writer.drain()
                found = await answer
        except TimeoutError:
            raise _away("the monitor does not answer in time") from None
        except OSError:
            raise _away("the monitor, which keeps labels, is away") from None
        finally:
            del self._asked[number]
        if "invalid" in found:
            raise InvalidRequest(found["invalid"])
        if "unavailable" in found:
            raise _away(found["unavailable"])
        outcomes: dict[str, Any] = found["outcomes"]
        return outcomes

    async def close(self) -> None:
        """Hang up."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _connect(self) -> StreamWriter:
        async with self._connecting:
            if self._writer is None:
                reader, self._writer = await asyncio.open_unix_connection(str(self._path))
                self._reading = asyncio.create_task(self._read(reader, self._writer))
            return self._writer

    async def _read(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            while (frame := await read_frame(reader)) is not None:
                waiting = self._asked.get(frame["number"])
                if waiting is not None and not waiting.done():
                    waiting.set_result(frame["answer"])
        except (BadFrame, KeyError, TypeError):
            pass  # as good as gone
        finally:
            self._writer = None
            writer.transport.abort()
            for waiting in self._asked.values():
                if not waiting.done():
                    waiting.set_exception(ConnectionResetError("the monitor hung up"))


def _away(problem: str) -> Unavailable:
    return Unavailable(f"{problem}; send the labels again", retry_after_seconds=RETRY_SECONDS)
