"""Calls on their way from a connection to the inference path: bodies in pieces, and the start."""

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

#: Where numpy and runtimes like tensors to begin; the contents of bytes and bytearray do.
ALIGNMENT: Final = 16


def joined(head: RequestHead, pieces: Pieces) -> bytes:
    """The body of these pieces; tensors behind JSON begin at a multiple of `ALIGNMENT`.

    They would have to be copied once more otherwise. What is returned then is a view, which every
    codec takes.
    """
    if not _has_tensors_behind(head):
        return body_of(pieces)
    padding = -(head.json_length or 0) % ALIGNMENT
    return cast("bytes", memoryview(body_of(pieces, padding))[padding:].toreadonly())


def cut(head: RequestHead, data: bytes, start: int, end: int) -> bytes:
    """The body between these places; a view, as in `joined`, if tensors are in it."""
    if not _has_tensors_behind(head):
        return data[start:end]
    return cast("bytes", memoryview(data)[start:end])


def _has_tensors_behind(head: RequestHead) -> bool:
    """Whether JSON is followed by tensors, as they are."""
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
        """The head is known and the rest of its body still to come: not a matter for the parser."""
        self.call = call
        self.receiving = True
        self.in_head = False
        self.chunk = None
        self.began_at = self.active_at
        self.body = [beginning]
        self.missing = call.head.content_length - len(beginning)  # type: ignore[operator]

    def _take_body(self, data: bytes) -> bytes:
        """A piece of such a body; returns what came behind it."""
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
        """Hand a complete call to the inference path; its answer may come before this returns."""
        self._await_answer(call)
        if len(self.calls) > PIPELINE_LIMIT:
            self.flow.pause_reading()
        if self.draining or not call.head.keep_alive:
            self.closing = True
        self.inference.start(call, body)

    def _await_answer(self, call: Call) -> None:
        """The call is complete and not answered; the parent has to wait for it."""
        if not self.calls:
            self.cycle = cycle = self.fast_cycle
            cycle.response_complete = False
        self.calls.append(call)
