"""Collects the body of a call on a connection, and starts the call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from penstock.server.ports.pieces import add_piece, body_of

from .connection import PIPELINE_LIMIT, Connection

if TYPE_CHECKING:
    import asyncio

    from uvicorn.config import Config
    from uvicorn.server import ServerState

    from penstock.server.inference.call import Call
    from penstock.server.inference.head import RequestHead
    from penstock.server.ports.pieces import Pieces

#: Tensors should begin at a multiple of this address, as the contents of bytes objects do.
ALIGNMENT: Final = 16


def joined(head: RequestHead, pieces: Pieces) -> bytes:
    """Join the pieces of a body; tensors behind JSON begin at a multiple of `ALIGNMENT`.

    Otherwise the tensors would be copied once more. Then the result is a view, which every
    codec takes.
    """
    if not _has_tensors_behind(head):
        return body_of(pieces)
    padding = -(head.json_length or 0) % ALIGNMENT
    return cast("bytes", memoryview(body_of(pieces, padding))[padding:].toreadonly())


def cut(head: RequestHead, data: bytes, start: int, end: int) -> bytes:
    """The body between two offsets; a view, as in `joined`, if it holds tensors."""
    if not _has_tensors_behind(head):
        return data[start:end]
    return cast("bytes", memoryview(data)[start:end])


def _has_tensors_behind(head: RequestHead) -> bool:
    """Whether the JSON of the body is followed by raw tensors."""
    return bool(head.json_length) and head.content_encoding is None


class BodyReader(Connection):
    """A connection that collects bodies without the parser, where their heads are known."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.body: Pieces = []
        self.body_bytes = 0
        self.chunk: bytes | None = None  # starts with the message that is being parsed
        self.missing = 0  # bytes of the body of a known head

    def _await_body(self, call: Call, beginning: memoryview) -> None:
        """Begin to collect a body whose head is known; the parser does not see it."""
        self.call = call
        self.receiving = True
        self.in_head = False
        self.chunk = None
        self.began_at = self.active_at
        self.body = [beginning]
        self.missing = call.head.content_length - len(beginning)  # type: ignore[operator]

    def _take_body(self, data: bytes) -> bytes:
        """Take a piece of such a body; returns the bytes behind the body."""
        piece = data if len(data) <= self.missing else memoryview(data)[: self.missing]
        add_piece(self.body, piece)
        self.missing -= len(piece)
        call = self.call
        if self.missing or call is None:
            return b""
        body, self.body = joined(call.head, self.body), []
        self.call = None
        self.receiving = False
        self._start(call, body)
        rest = data[len(piece) :]
        if self.closing or not rest:
            return b""
        if self.flow.read_paused:
            self.backlog = rest
            return b""
        return rest

    def _start(self, call: Call, body: bytes) -> None:
        """Give a complete call to the inference path; its answer may come before this returns."""
        self._await_answer(call)
        if len(self.calls) > PIPELINE_LIMIT:
            self.flow.pause_reading()
        if self.draining or not call.head.keep_alive:
            self.closing = True
        self.inference.start(call, body)

    def _await_answer(self, call: Call) -> None:
        """Make the parent class wait for the answer of a complete call."""
        if not self.calls:
            self.cycle = cycle = self.fast_cycle
            cycle.response_complete = False
        self.calls.append(call)
