"""One HTTP/1.1 connection around its messages: answers in order, time limits, refusals, the end.

`penstock.server.http.fastpath` handles the received bytes.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from penstock.server.errors import InvalidRequest, RequestTimeout
from penstock.server.inference.call import Call
from penstock.server.inference.head import read_head

from .flow import FastCycle, Flow

if TYPE_CHECKING:
    import asyncio

    from uvicorn.config import Config
    from uvicorn.server import ServerState

    from penstock.server.codecs.negotiate import Body
    from penstock.server.errors import ApiError
    from penstock.server.inference.head import RequestHead

    from .prediction_port import PredictionPort

#: Unanswered requests on one connection before it is not read any further.
PIPELINE_LIMIT: Final = 64


class Connection(HttpToolsProtocol):
    """One connection that answers predictions itself and leaves other requests to ASGI."""

    parser: Any  # the parent unsets it when the connection is lost

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.port: PredictionPort = app_state["port"]
        self.inference = self.port.inference
        self.limits = self.port.limits
        self.clock = self.port.clock
        self.url = b""
        self.headers = []
        self.fast_cycle: Any = FastCycle()  # where the parent's type has a RequestResponseCycle
        self.calls: deque[Call] = deque()  # unanswered calls, the oldest first
        self.call: Call | None = None  # the call whose body is being received
        self.receiving = False  # a message has begun and not ended
        self.in_head = False  # the head of that message is not complete
        self.draining = False  # the server is stopping: the next answer is the last
        self.closing = False  # nothing more is read; closes when the last call is answered
        self.began_at = 0.0  # arrival of the message being parsed
        self.active_at = 0.0  # last received byte, or last sweep with calls or unsent answers
        self.backlog = b""  # bytes received while too many requests waited
        self.unsent_bytes = 0  # bytes of answers in the transport at the last sweep

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connected."""
        super().connection_made(transport)
        self.peer = self.client[0].encode() if self.client else b""
        self.flow = Flow(transport, self._go_on)
        self.active_at = self.clock()
        self.port.sweeper.watch(self.connections)

    def _go_on(self) -> None:
        """Resume reading, first the bytes that were received and not parsed."""
        if self.backlog:
            self.loop.call_soon(self.data_received, b"")

    def _answers_directly(self) -> bool:
        """Whether no ASGI request is unfinished on this connection."""
        cycle = self.cycle
        return cycle is None or cycle.response_complete or cycle is self.fast_cycle

    # -- answers ---------------------------------------------------------------------------------

    def respond(self, call: Call, status: int, headers: bytes, body: Body) -> None:
        """Write the answer, or keep it until the earlier ones on this connection are written."""
        calls = self.calls
        if not calls or calls[0] is not call:
            call.answer = (status, headers, body)
            return
        try:
            self._write_next(status, headers, body)
        except Exception as error:  # noqa: BLE001  see `ResponseWriter`
            self._break_off(error)

    def answer(self, call: Call, answer: bytes) -> bool:
        """See `penstock.server.inference.call.ResponseWriter`."""
        calls = self.calls
        if len(calls) != 1 or calls[0] is not call or self.access_log or self.closing:
            return False
        calls.clear()
        try:
            self.transport.write(answer)
            self.fast_cycle.response_complete = True
            if self.pipeline or self.flow.read_paused:
                self._answered_all()
        except Exception as error:  # noqa: BLE001  see `ResponseWriter`
            self._break_off(error)
        return True

    def owes(self, call: Call) -> bool:
        """See `penstock.server.inference.call.ResponseWriter`."""
        return call.answer is None and call in self.calls

    def _write_next(self, status: int, headers: bytes, body: Body) -> None:
        """Write the answer to the oldest call, and those that waited behind it."""
        calls = self.calls
        self._write(calls.popleft(), status, headers, body)
        while calls:
            answer = calls[0].answer
            if answer is None:
                return
            self._write(calls.popleft(), *answer)
        self._answered_all()

    def _break_off(self, error: Exception) -> None:
        """Close the connection, because an answer was written in part or not at all."""
        message = {"message": "writing an answer failed", "exception": error}
        self.loop.call_exception_handler(message)
        self.closing = True
        with suppress(Exception):  # a transport in such a state may raise anything
            self.transport.abort()

    def response_head(self, status: int) -> bytes:
        """See `penstock.server.inference.call.ResponseWriter`."""
        known = self.port.response_heads
        default_headers = self.server_state.default_headers
        if default_headers is not known.headers:
            known.renew(default_headers)
        return known[status]

    def _write(self, call: Call, status: int, headers: bytes, body: Body) -> None:
        response_head = self.response_head(status)
        if self.access_log:
            self._log_access(call, status)
        close = b"connection: close\r\n" if self.closing and not self.calls else b""
        if isinstance(body, bytes):
            size = b"content-length: %d\r\n%b\r\n" % (len(body), close)
            self.transport.write(b"".join((response_head, headers, size, body)))
        else:
            size = b"content-length: %d\r\n%b\r\n" % (sum(map(len, body)), close)
            self.transport.writelines([b"".join((response_head, headers, size)), *body])

    def _answered_all(self) -> None:
        """Close the connection, or serve the requests that the parent has queued; no call waits."""
        self.fast_cycle.response_complete = True
        if self.closing:
            self._close_gently()
            return
        if self.flow.read_paused and not self.flow.write_paused:
            self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """Called when the ASGI app has answered a request."""
        super().on_response_complete()
        if self.closing and self._is_idle() and not self.transport.is_closing():
            self._close_gently()

    def _log_access(self, call: Call, status: int) -> None:
        """A line as the parent logs it: uvicorn's formatter takes exactly these five."""
        head = call.head
        self.access_logger.info(
            '%s - "%s %s HTTP/%s" %d',
            "{}:{}".format(*self.client) if self.client else "",
            head.method,
            head.target,
            head.http_version,
            status,
        )

    # -- refusals and the end --------------------------------------------------------------------

    def refuse(self, error: ApiError) -> None:
        """Answer a message that will not be read to its end, behind the earlier answers."""
        if self.receiving and not self.in_head and self.call is None:
            self.transport.abort()  # the ASGI app has it, and may have answered it already
            return
        if not self._answers_directly():
            # Another answer here would overtake the app's: let those out and say no more.
            self.receiving = False
            self.closing = True
            return
        call = self.call or Call(self, self._unread_head(), self.began_at)
        self.call = None
        self.receiving = False
        self.closing = True
        self.cycle = self.fast_cycle
        self.fast_cycle.response_complete = False
        self.calls.append(call)
        self.inference.fail(call, error)

    def _unread_head(self) -> RequestHead:
        """A request head with the fields that a refusal needs."""
        head = read_head("", None, self.headers)
        self._note_request_line(head)
        return head

    def _note_request_line(self, head: RequestHead) -> None:
        """Keep the request line for the access log; llhttp accepts no byte that forges a line."""
        if self.url:
            head.method = self.parser.get_method().decode("latin-1")
        head.target = self.url.decode("latin-1")
        head.http_version = self.parser.get_http_version()

    def send_400_response(self, msg: str) -> None:
        """Answer a request that llhttp cannot parse, like every other error."""
        if not self.closing:
            self.refuse(InvalidRequest(msg))

    def _close_gently(self) -> None:
        """Send FIN and let the client read the answer; unread bytes would reset the connection."""
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def sweep(self, now: float) -> None:
        """Enforce the time limits; called by the sweeper about once a second."""
        transport, limits = self.transport, self.limits
        if transport.is_closing():
            return
        unsent = transport.get_write_buffer_size()
        if unsent != self.unsent_bytes or (self.calls and not unsent):
            self.unsent_bytes = unsent
            self.active_at = now
        idle = now - self.active_at
        if unsent:
            if idle > limits.body_timeout_seconds:
                transport.abort()
        elif self.closing:
            if idle > limits.linger_seconds and self._is_idle():
                transport.abort()
        elif self.receiving:
            self._sweep_message(now, idle)
        elif idle > limits.keep_alive_seconds and self._is_idle():
            transport.close()

    def _sweep_message(self, now: float, idle: float) -> None:
        if self.flow.read_paused:  # it is not the client who is slow
            return
        if self.in_head and now - self.began_at > self.limits.header_timeout_seconds:
            self.refuse(RequestTimeout("the headers did not arrive in time"))
        elif not self.in_head and idle > self.limits.body_timeout_seconds:
            self.refuse(RequestTimeout("the body did not arrive in time"))

    def _is_idle(self) -> bool:
        return not self.calls and (self.cycle is None or self.cycle.response_complete)

    def timeout_keep_alive_handler(self) -> None:
        """Left to the sweeper, which needs no timer per response."""

    def shutdown(self) -> None:
        """Finish the begun requests and close, because the server stops."""
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
        """Stop reading requests of a client that does not take its answers."""
        super().pause_writing()
        self.flow.pause_reading()

    def resume_writing(self) -> None:
        """Read requests again, because the client has taken its answers."""
        super().resume_writing()
        if len(self.calls) < PIPELINE_LIMIT:
            self.flow.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Abandon the waiting calls of a client that is gone."""
        calls = list(self.calls)
        self.calls.clear()
        for call in calls:
            self.inference.abandon(call)
        self.closing = True
        super().connection_lost(exc)
