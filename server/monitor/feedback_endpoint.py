"""The monitor's end of the way of labels: one connection per worker, one answer per body."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from penstock.batching.contained import contained
from penstock.server.processes.frames import pack_frame, read_frame

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from concurrent.futures import Executor

    from .feedback_service import FeedbackService


class FeedbackEndpoint:
    """Answers workers; each body is kept on the disk before its answer leaves.

    Args:
        service: Reads and keeps labels.
        thread: Thread that reads and keeps the labels.
    """

    def __init__(self, service: FeedbackService, thread: Executor) -> None:
        self._service = service
        self._thread = thread

    async def serve(
        self, first: dict[str, Any], reader: StreamReader, writer: StreamWriter
    ) -> None:
        """Serve a connection that began with this frame until the worker hangs up."""
        frame: dict[str, Any] | None = first
        while frame is not None:
            number, body = frame["number"], frame["body"]
            how = {"packed": frame["packed"], "partial": frame.get("partial", False)}
            answer = await asyncio.get_running_loop().run_in_executor(
                self._thread,
                contained,
                lambda: self._service.answer(body, **how),  # noqa: B023  awaited at once
            )
            writer.write(pack_frame("feedback", number=number, answer=answer))
            await writer.drain()
            frame = await read_frame(reader)
