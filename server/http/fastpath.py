"""The fast path: prediction requests answered by callbacks, without task, future or ASGI scope.

`FastPathProtocol` subclasses uvicorn's protocol class and is passed through uvicorn's documented
``http=`` option. All other requests go to the parent class unchanged, and so to the ASGI app.

A prediction request takes the shortest of four ways:

0. It differs from one that was answered before in its numbers only: it waits in a coalescing group
   until the end of the loop's iteration.
1. Its head was seen before, byte for byte: no parser runs at all (`_serve_known`). Equal bytes
   parse equally, so nothing is taken on trust. A body still to come is collected as it comes.
2. Otherwise llhttp parses it and calls back; body pieces are collected, then the call starts.
3. A prediction that arrives behind an unfinished ASGI request is left to the ASGI app, which has
   the same routes, so that answers keep their order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import httptools

from penstock.server.errors import BodyTooLarge, HeadersTooLarge, MethodNotAllowed
from penstock.server.http.coalescing.head_cache import END_OF_HEAD
from penstock.server.inference.call import Call
from penstock.server.inference.head import expects_continue, read_head
from penstock.server.inference.prediction_paths import match_target
from penstock.server.ports.paths import origin_form
from penstock.server.ports.pieces import add_piece

from .body_reader import BodyReader, cut, joined
from .connection import PIPELINE_LIMIT

if TYPE_CHECKING:
    import asyncio

    from uvicorn.config import Config
    from uvicorn.server import ServerState

    from penstock.server.inference.head import RequestHead
    from penstock.server.inference.prediction_paths import Target

#: The parser gets so many bytes at once, because a segment may hold thousands of requests.
PIECE_BYTES: Final = 16 * 1024


class FastPathProtocol(BodyReader):
    """The protocol of one HTTP/1.1 connection; the module docstring lists the ways of a request."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.head_cache = self.port.head_cache
        self.coalescer = self.port.coalescer
        self.asgi_headers = self.port.asgi_headers
        self.message_bytes = 0  # of the message that is being parsed, as far as they are told apart

    # -- bytes in --------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Bytes from the client: see the four ways in the module docstring."""
        if self.closing:
            return
        if self.backlog:
            data, self.backlog = self.backlog + data, b""
        self.active_at = now = self.clock()
        if self.missing:
            data = self._take_body(data)
            if not data:
                return
        if self.receiving:
            self.chunk = None
        else:
            cycle = self.cycle
            if cycle is self.fast_cycle or cycle is None or cycle.response_complete:
                coalescer = self.coalescer
                if coalescer is not None and not self.draining and len(self.calls) < PIPELINE_LIMIT:
                    call = coalescer.try_take(self, data, now)
                    if call is not None:
                        self._await_answer(call)
                        return
                data = self._serve_known(data, now)
                if not data:
                    return
            self.chunk = data
        self._parse(data)

    def _parse(self, data: bytes) -> None:
        """Give bytes to the parser, a piece at a time."""
        if len(data) > PIECE_BYTES:
            data, self.backlog = self._cut(data)
        self.message_bytes += len(data)
        self._feed(data)
        if self.receiving and self.message_bytes > self.limits.max_message_bytes(self.in_head):
            self._refuse_unfinished()
        if self.backlog and not self.flow.read_paused:
            self.data_received(b"")

    def _cut(self, data: bytes) -> tuple[bytes, bytes]:
        """A piece to parse now, and the rest; a body of known length is not cut."""
        size = PIECE_BYTES
        if self.call is not None and self.call.head.content_length is not None:
            size = max(size, self.call.head.content_length - self.body_bytes)
        if self.chunk is not None:
            self.chunk = data[:size]
        return data[:size], data[size:]

    def _feed(self, data: bytes) -> None:
        """Let llhttp parse the bytes, and refuse what llhttp cannot parse."""
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as pause:
                if self._should_upgrade():
                    self.handle_websocket_upgrade()
                elif not self.closing:
                    data = self._decline_upgrade(data[pause.args[0] :])
                    continue
            except httptools.HttpParserError:
                self.send_400_response("this is not HTTP/1.1 as RFC 9112 has it")
            return

    def _decline_upgrade(self, rest: bytes) -> bytes:
        """Serve the request as if its Upgrade header were not there (RFC 9110, 7.8).

        Java's client asks for HTTP/2 in this way with its first request. llhttp stops behind such
        a head and takes the body for the other protocol, so it gets the head again without.

        Returns:
            The bytes to parse instead.
        """
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (method, self.url, version)]
        lines += [b"%b: %b" % pair for pair in self.headers if pair[0] != b"upgrade"]
        self.chunk = None
        return b"\r\n".join([*lines, b"", rest])

    def _serve_known(self, data: bytes, now: float) -> bytes:
        """Serve the complete requests at the start of ``data`` whose heads are known.

        Returns:
            The rest, for the parser, which then stands at the start of a message.
        """
        known = self.head_cache
        while data:
            end = data.find(END_OF_HEAD) + len(END_OF_HEAD)
            head = known.get(data[:end])
            if head is None:
                break
            total = end + head.content_length  # type: ignore[operator]  # known heads have one
            if len(data) < total:
                self._await_body(Call(self, head, now), memoryview(data)[end:])
                return b""
            whole, data = data, data[total:]
            self._start(Call(self, head, now), cut(head, whole, end, total))
            if self.closing:
                return b""
            if data and self.flow.read_paused:
                self.backlog = data
                return b""
        return data

    # -- parser callbacks ------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Start of a message; the parent's scope is built only for what goes to the parent."""
        self.url = b""
        self.headers = []
        self.receiving = self.in_head = True
        self.began_at = self.active_at
        self.message_bytes = 0 if self.chunk is None else len(self.chunk)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One complete header; trailers of a chunked body are dropped."""
        if self.in_head:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Decide who serves the message: this class, or the parent and its ASGI app."""
        if self.closing:
            return
        method = self.parser.get_method()
        try:
            self.limits.check_head(len(self.url), self.headers)
        except HeadersTooLarge as error:
            self.refuse(error)
            return
        if method == b"CONNECT":
            self.refuse(MethodNotAllowed("this is no proxy; use GET or POST", allow="GET, POST"))
            return
        if self.parser.should_upgrade() and not self._should_upgrade():
            return  # see _decline_upgrade
        found = origin_form(self.url, self.headers, self.parser.get_http_version())
        if found is not None:
            self.url, self.headers = found
        headers = self.headers
        expects = expects_continue(headers)
        if method == b"POST" and self._answers_directly() and not (expects and self.calls):
            target = self._target(headers)
            if target is not None:
                head = read_head(target.model, target.version, headers, target.protocol)
                self._begin_call(head, expects=expects)
                return
        self.in_head = False
        url = self.url
        super().on_message_begin()
        self.url = url
        self.headers.extend(headers)
        self.expect_100_continue = expects
        super().on_headers_complete()
        if self.draining:
            self.cycle.keep_alive = False

    def _target(self, headers: list[tuple[bytes, bytes]]) -> Target | None:
        """The version and format that the request asks for; ``None`` if the ASGI app serves it."""
        for name, _ in headers:
            if name in self.asgi_headers:
                return None
        border = self.port.border
        return match_target(self.url, border.root_path, border.routes)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self.closing:
            return
        if self.call is None:
            super().on_body(body)
            return
        self.body_bytes += len(body)
        if self.body_bytes > self.limits.max_body_bytes:
            self._refuse_body()
            return
        add_piece(self.body, body)

    def on_message_complete(self) -> None:
        """The message is complete."""
        if self.closing or self.in_head:  # in_head: stopped at an Upgrade header
            return
        self.receiving = False
        self.chunk = None
        call = self.call
        if call is None:
            super().on_message_complete()
            return
        self.call = None
        self._start(call, joined(call.head, self.body))

    def _begin_call(self, head: RequestHead, *, expects: bool) -> None:
        """A prediction's head is complete: remember it, and collect its body."""
        self._note_request_line(head)
        self.port.check(head, self.headers)
        head.keep_alive = head.http_version != "1.0" and self.parser.should_keep_alive()
        names = dict(self.headers)
        if b"transfer-encoding" not in names:
            head.content_length = int(names.get(b"content-length", b"0"))
            if head.content_length > self.limits.max_body_bytes:
                self._refuse_body()
                return
            if self.chunk is not None:
                self.head_cache.remember(head, self.chunk, len(self.headers) + 2)
        if expects and head.http_version != "1.0":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.in_head = False
        self.call = Call(self, head, self.began_at)
        self.body = []
        self.body_bytes = 0

    def _refuse_unfinished(self) -> None:
        """More bytes came than any message within the limits has."""
        limits = self.limits
        if self.in_head:
            self.refuse(HeadersTooLarge(f"the head is over {limits.max_header_bytes} bytes"))
        else:
            self._refuse_body()

    def _refuse_body(self) -> None:
        self.refuse(BodyTooLarge(f"the body is over {self.limits.max_body_bytes} bytes"))
