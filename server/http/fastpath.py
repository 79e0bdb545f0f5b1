"""The fast path: prediction requests answered by callbacks, without task, future or ASGI scope.

`FastPathProtocol` subclasses uvicorn's protocol class and is passed through uvicorn's documented
``http=`` option. Whatever is not a prediction goes to the parent unchanged, and so to the ASGI app.

A prediction request takes the shortest of three ways:

1. Its head was seen before, byte for byte, and its body is here: no parser runs at all
   (`_serve_known`). Equal bytes parse equally, so nothing is taken on trust.
2. Otherwise llhttp parses it and calls back; body pieces are collected, then the call starts.
3. A prediction that arrives behind an unfinished ASGI request is left to the ASGI door, which has
   the same routes, so that answers keep their order.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from penstock.server.errors import BodyTooLarge, HeadersTooLarge, InvalidRequest, RequestTimeout

from .call import Call
from .head import match_infer, read_head

if TYPE_CHECKING:
    import asyncio

    from uvicorn.config import Config
    from uvicorn.server import ServerState

    from penstock.server.errors import ApiError

    from .codecs.negotiate import Body
    from .head import RequestHead
    from .inference import InferencePath

#: Heads remembered per process; beyond that the memory starts afresh.
KNOWN_HEADS: Final = 4096
#: A longer head is parsed each time: it is rare, and memory is bounded.
KNOWN_HEAD_BYTES: Final = 2048
#: Unanswered requests on one connection before it is not read any further.
PIPELINE_LIMIT: Final = 64

END_OF_HEAD: Final = b"\r\n\r\n"


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


class FastPathProtocol(HttpToolsProtocol):
    """HTTP/1.1 on one connection; see the module for the ways a request can take."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.inference: InferencePath = app_state["inference"]
        self.limits = self.inference.limits
        self.clock = self.inference.clock
        self.known: dict[bytes, RequestHead] = self.inference.known_heads
        self.fast_cycle = FastCycle()
        self.calls: deque[Call] = deque()  # unanswered, oldest first
        self.call: Call | None = None  # whose body is being received
        self.body: list[bytes] = []
        self.body_bytes = 0
        self.message_bytes = (
            0  # received of the message that is being parsed, after its first chunk
        )
        self.chunk: bytes | None = None  # starts with the message that is being parsed
        self.receiving = False  # inside a message
        self.in_head = False
        self.draining = False  # the server is stopping: the next answer is the last
        self.closing = False  # nothing more is read; closes when the last call is answered
        self.began_at = 0.0  # of the message being parsed
        self.active_at = 0.0  # last byte in, or last seen with unanswered calls

    # -- bytes in --------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connected."""
        super().connection_made(transport)
        self.active_at = self.clock()
        self.inference.sweeper.watch(self.connections)

    def data_received(self, data: bytes) -> None:
        """Bytes from the client: see the three ways in the module docstring."""
        if self.closing:
            return
        self.active_at = now = self.clock()
        if self.receiving:
            self.chunk = None
        else:
            cycle = self.cycle
            if cycle is self.fast_cycle or cycle is None or cycle.response_complete:
                data = self._serve_known(data, now)
                if not data:
                    return
            self.chunk = data
        self.message_bytes += len(data)
        super().data_received(data)
        if self.receiving and self.message_bytes > self.limits.max_message_bytes(self.in_head):
            self._refuse_oversize(HeadersTooLarge if self.in_head else BodyTooLarge)

    def _answers_directly(self) -> bool:
        """Whether no ASGI request is unfinished on this connection."""
        cycle = self.cycle
        return cycle is None or cycle.response_complete or cycle is self.fast_cycle

    def _serve_known(self, data: bytes, now: float) -> bytes:
        """Serve the complete requests at the start of ``data`` whose heads are known.

        Returns:
            What is left for the parser, which then stands at the start of a message.
        """
        known = self.known
        while data:
            end = data.find(END_OF_HEAD) + len(END_OF_HEAD)
            head = known.get(data[:end])
            if head is None:
                break
            total = end + head.content_length  # type: ignore[operator]  # known heads have one
            if len(data) < total:
                break
            body = data[end:total]
            data = data[total:]
            self._start(Call(self, head, now), body)
            if self.closing:
                return b""
        return data

    # -- parser callbacks ------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Start of a message; the parent's scope is built only for what goes to the parent."""
        self.url = b""
        self.headers = []
        self.receiving = self.in_head = True
        self.began_at = self.active_at
        self.message_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """One complete header; trailers of a chunked body are dropped."""
        if self.in_head:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Decide who serves the message: this class, or the parent and its ASGI app."""
        self.in_head = False
        if self.closing:
            return
        headers = self.headers
        if len(headers) > self.limits.max_header_count:
            limit = self.limits.max_header_count
            self._refuse(HeadersTooLarge(f"{len(headers)} headers; at most {limit} are accepted"))
            return
        if sum([len(name) + len(value) for name, value in headers]) > self.limits.max_header_bytes:
            self._refuse_oversize(HeadersTooLarge)
            return
        if self._answers_directly() and not self.parser.should_upgrade():
            target = match_infer(self.url) if self.parser.get_method() == b"POST" else None
            if target is not None:
                self._begin_call(read_head(*target, headers))
                return
        url = self.url
        super().on_message_begin()
        self.url = url
        self.headers.extend(headers)
        self.expect_100_continue = (b"expect", b"100-continue") in headers
        super().on_headers_complete()
        if self.draining:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self.closing:
            return
        if self.call is None:
            super().on_body(body)
            return
        self.body_bytes += len(body)
        if self.body_bytes > self.limits.max_body_bytes:
            self._refuse_oversize(BodyTooLarge)
            return
        self.body.append(body)

    def on_message_complete(self) -> None:
        """The message is complete."""
        self.receiving = False
        self.chunk = None
        if self.closing:
            return
        call = self.call
        if call is None:
            super().on_message_complete()
            return
        self.call = None
        body = self.body[0] if len(self.body) == 1 else b"".join(self.body)
        self._start(call, body)

    def _begin_call(self, head: RequestHead) -> None:
        """A prediction's head is complete: remember it, and collect its body."""
        head.keep_alive = (
            self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        )
        names = dict(self.headers)
        if b"transfer-encoding" not in names:
            head.content_length = int(names.get(b"content-length", b"0"))
            if head.content_length > self.limits.max_body_bytes:
                self._refuse_oversize(BodyTooLarge)
                return
            self._remember(head)
        if names.get(b"expect", b"").lower() == b"100-continue" and not self.calls:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.call = Call(self, head, self.began_at)
        self.body = []
        self.body_bytes = 0

    def _remember(self, head: RequestHead) -> None:
        """Keep the head under its bytes, unless they are unlikely to come again or in doubt."""
        chunk = self.chunk
        if chunk is None or head.request_id is not None or head.problem is not None:
            return
        raw = chunk[: chunk.find(END_OF_HEAD) + len(END_OF_HEAD)]
        lines = len(self.headers) + 2
        plain = raw.startswith(b"POST ") and raw.count(b"\n") == lines == raw.count(b"\r\n")
        if not plain or len(raw) > KNOWN_HEAD_BYTES or b"\r\nexpect:" in raw.lower():
            return
        if len(self.known) >= KNOWN_HEADS:
            self.known.clear()
        self.known[raw] = head

    # -- answers ---------------------------------------------------------------------------------

    def _start(self, call: Call, body: bytes) -> None:
        """Hand a complete call to the inference path; its answer may come before this returns."""
        calls = self.calls
        if calls:
            if len(calls) >= PIPELINE_LIMIT:
                self.flow.pause_reading()
        else:
            self.cycle = cycle = self.fast_cycle  # type: ignore[assignment]
            cycle.response_complete = False
        calls.append(call)
        if self.draining or not call.head.keep_alive:
            self.closing = True
        self.inference.start(call, body)

    def respond(self, call: Call, status: int, headers: bytes, body: Body) -> None:
        """Write the answer, or keep it until the earlier ones on this connection are written."""
        calls = self.calls
        if calls[0] is not call:
            call.answer = (status, headers, body)
            return
        calls.popleft()
        self._write(call, status, headers, body)
        while calls:
            answer = calls[0].answer
            if answer is None:
                return
            self._write(calls.popleft(), *answer)
        self._answered_all()

    def _write(self, call: Call, status: int, headers: bytes, body: Body) -> None:
        inference = self.inference
        default_headers = self.server_state.default_headers
        if default_headers is not inference.default_headers:
            inference.renew_preambles(default_headers)
        preamble = inference.preambles.get(status) or inference.preamble(status)
        if self.access_log:
            self._log_access(call, status)
        close = b"connection: close\r\n" if self.closing and not self.calls else b""
        if type(body) is bytes:
            size = b"content-length: %d\r\n%b\r\n" % (len(body), close)
            self.transport.write(b"".join((preamble, headers, size, body)))
        else:
            size = b"content-length: %d\r\n%b\r\n" % (sum(map(len, body)), close)
            self.transport.writelines([b"".join((preamble, headers, size)), *body])

    def _answered_all(self) -> None:
        """No call is unanswered: close, or go on with what the parent has queued behind them."""
        self.fast_cycle.response_complete = True
        if self.closing:
            self._close_gently()
            return
        if self.flow.read_paused and not self.flow.write_paused:
            self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)

    def _log_access(self, call: Call, status: int) -> None:
        head = call.head
        version = "" if head.version is None else f"/versions/{head.version}"
        host, port = self.client or ("", 0)
        self.access_logger.info(
            '%s:%d - "%s %s HTTP/%s" %d',
            host,
            port,
            "POST",
            f"/v2/models/{head.model}{version}/infer",
            "1.1",
            status,
        )

    # -- refusals and the end --------------------------------------------------------------------

    def _refuse_oversize(self, kind: type[HeadersTooLarge | BodyTooLarge]) -> None:
        limits = self.limits
        if kind is HeadersTooLarge:
            self._refuse(kind(f"the headers are over {limits.max_header_bytes} bytes"))
        else:
            self._refuse(kind(f"the body is over {limits.max_body_bytes} bytes"))

    def _refuse(self, error: ApiError) -> None:
        """Answer a message that will not be read to its end, behind the earlier answers."""
        if not self._answers_directly():
            self.transport.abort()
            return
        call = self.call or Call(self, read_head("", None, self.headers or ()), self.began_at)
        self.call = None
        self.receiving = False
        self.closing = True
        self.cycle = self.fast_cycle  # type: ignore[assignment]
        self.fast_cycle.response_complete = False
        self.calls.append(call)
        self.inference.fail(call, error)

    def send_400_response(self, msg: str) -> None:
        """What llhttp cannot parse is answered like every other error."""
        if self.closing:
            return
        if self._answers_directly():
            self._refuse(InvalidRequest(msg))
        else:
            super().send_400_response(msg)

    def _close_gently(self) -> None:
        """Send FIN and let the client read the answer; unread bytes would reset the connection."""
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def sweep(self, now: float) -> None:
        """Enforce the time limits; called by the sweeper about once a second."""
        limits = self.limits
        if self.calls and not self.flow.write_paused:
            self.active_at = now
        idle = now - self.active_at
        if self.transport.is_closing():
            return
        if self.flow.write_paused:
            if idle > limits.body_timeout_seconds:
                self.transport.abort()
        elif self.closing and not self.calls:
            if idle > limits.linger_seconds:
                self.transport.abort()
        elif self.receiving and not self.closing:
            if self.in_head and now - self.began_at > limits.header_timeout_seconds:
                self._refuse(RequestTimeout("the headers did not arrive in time"))
            elif not self.in_head and idle > limits.body_timeout_seconds:
                self._refuse(RequestTimeout("the body did not arrive in time"))
        elif idle > limits.keep_alive_seconds and self._is_idle():
            self.transport.close()

    def _is_idle(self) -> bool:
        return not self.calls and (self.cycle is None or self.cycle.response_complete)

    def timeout_keep_alive_handler(self) -> None:
        """Left to the sweeper, which needs no timer per response."""

    def shutdown(self) -> None:
        """The server drains: finish what has begun; an idle client gets a moment to be heard."""
        self.draining = True
        if self.calls and not self.receiving:
            self.closing = True
        elif self._is_idle():
            self.loop.call_later(self.limits.drain_grace_seconds, self._close_if_idle)
        else:
            super().shutdown()

    def _close_if_idle(self) -> None:
        if self._is_idle() and not self.receiving and not self.transport.is_closing():
            self.transport.close()

    def pause_writing(self) -> None:
        """A slow reader: stop reading its requests until it takes its answers."""
        super().pause_writing()
        self.flow.pause_reading()

    def resume_writing(self) -> None:
        """The reader caught up."""
        super().resume_writing()
        if len(self.calls) < PIPELINE_LIMIT:
            self.flow.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone: what it is still waiting for need not be computed."""
        for call in self.calls:
            self.inference.abandon(call)
        self.calls.clear()
        super().connection_lost(exc)
