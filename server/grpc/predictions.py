"""``ModelInfer`` and ``ModelStreamInfer``: calls of the inference path."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from penstock.server.errors import Unavailable
from penstock.server.inference.call import Call
from penstock.server.inference.future_writer import FutureWriter
from penstock.server.oip.length_prefix import length_prefix
from penstock.server.oip.schema import INFER_RESPONSE, STREAM_RESPONSE

from .call_head import INFER_TARGET, STREAM_TARGET, head_of, lines_of
from .gathering import Gathering
from .status import code_of, error_metadata, message_of, metadata_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from grpc.aio import ServicerContext

    from penstock.server.codecs.negotiate import Body
    from penstock.server.http.prediction_port import PredictionPort
    from penstock.server.inference.future_writer import Answer

    from .admission import Admission

#: Requests of one stream that are in progress; the next one is read when the first is answered.
MAX_AHEAD: Final = 256
_OK: Final = 200
#: Of an answer of a stream: the key of ``infer_response`` (2).
_INFER_RESPONSE: Final = 0x12
#: Each request of a stream has one answer, which is also its last.
_FINAL: Final[bytes] = INFER_RESPONSE(
    parameters={"triton_final_response": {"bool_param": True}}
).SerializeToString()


class Predictions:
    """Serves predictions of one gRPC server.

    Args:
        port: The inference path, and the checks before it.
        admission: Whether calls are taken.
        told: Called with each finished call, its status as HTTP has it, and the caller's address.
    """

    def __init__(
        self,
        port: PredictionPort,
        admission: Admission,
        told: Callable[[Call, int, str], object] | None = None,
    ) -> None:
        self._port = port
        self._admission = admission
        self._loop = asyncio.get_running_loop()
        self._told = told
        self._gathering = Gathering(self._loop, port.clock, self._start)

    def announce(self) -> None:
        """Note that a message for `infer` is on the way."""
        self._gathering.announce()

    async def infer(self, body: bytes, context: ServicerContext[bytes, bytes]) -> bytes:
        """Answer a ``ModelInferRequest``."""
        try:
            self._admission.admit(context)
        except Unavailable as error:
            await _refuse(context, error)
        call, answered = self._begin(body, context, INFER_TARGET)
        try:
            status, lines, answer = await answered
        finally:
            self._end(call, answered)
        if self._told is not None:
            self._told(call, status, context.peer())
        if status != _OK:
            await context.abort(code_of(status), message_of(answer), metadata_of(lines))
        context.set_trailing_metadata(metadata_of(lines))
        return _joined(answer)

    async def stream(
        self, requests: AsyncIterator[bytes], context: ServicerContext[bytes, bytes]
    ) -> AsyncIterator[bytes]:
        """Answer each ``ModelInferRequest`` of a stream with one message, in their order.

        A server that stops answers what it has read, and ends the stream.
        """
        try:
            self._admission.admit(context)
        except Unavailable as error:
            await _refuse(context, error)
        begun: deque[tuple[Call, asyncio.Future[Answer]]] = deque()
        changed = asyncio.Event()
        room = asyncio.Semaphore(MAX_AHEAD)

        async def read() -> None:
            async for body in requests:
                await room.acquire()
                begun.append(self._begin(body, context, STREAM_TARGET))
                changed.set()

        reader = self._loop.create_task(read())
        reader.add_done_callback(lambda _: changed.set())
        closing = self._loop.create_task(self._admission.closed.wait())
        closing.add_done_callback(lambda _: reader.cancel())
        try:
            while begun or not reader.done():
                if not begun:
                    changed.clear()
                    await changed.wait()
                    continue
                call, answered = begun[0]
                status, _, answer = await answered
                begun.popleft()
                room.release()
                if self._told is not None:
                    self._told(call, status, context.peer())
                yield _stream_answer(call, status, answer)
            self._admission.check()
            reader.result()
        except Unavailable as error:
            await _refuse(context, error)
        finally:
            closing.cancel()
            reader.cancel()
            for call, answered in begun:
                answered.cancel()
                self._end(call, answered)

    def _begin(
        self, body: bytes, context: ServicerContext[bytes, bytes], target: str
    ) -> tuple[Call, asyncio.Future[Answer]]:
        arrival = self._port.clock()
        writer = FutureWriter(self._loop, address_of(context.peer()))
        # The types say otherwise; both give a value, see the documentation of grpc.aio.
        metadata: Any = context.invocation_metadata()
        head = head_of(body, lines_of(metadata or ()), target, context.time_remaining())
        if self._port.guard is not None:
            self._port.guard.check_token(head)
        call = Call(writer, head, arrival)
        self._gathering.add((call, body), arrival)
        return call, writer.answered

    def _start(self, calls: list[tuple[Call, bytes]]) -> None:
        """Start calls in one iteration of the loop, so that they may share a run."""
        for call, body in calls:
            if not call.abandoned:
                self._port.inference.start(call, body)

    def _end(self, call: Call, answered: asyncio.Future[Answer]) -> None:
        """Withdraw a call whose caller left, or whose deadline passed, before its answer."""
        if answered.cancelled() or not answered.done():
            self._port.inference.abandon(call)


async def _refuse(context: ServicerContext[bytes, bytes], error: Unavailable) -> None:
    """End a call, as it is not taken."""
    await context.abort(code_of(error.status), error.message, error_metadata(error))


def _stream_answer(call: Call, status: int, answer: Body) -> bytes:
    if status == _OK:
        return _wrapped(_joined(answer) + _FINAL)
    identity = "" if call.message is None else call.message.id or ""
    response = INFER_RESPONSE(id=identity, model_name=call.head.model)
    message = STREAM_RESPONSE(error_message=message_of(answer), infer_response=response)
    text: bytes = message.SerializeToString()
    return text


def _wrapped(response: bytes) -> bytes:
    """A ``ModelStreamInferResponse`` of a serialized response, which stays as it is."""
    return length_prefix(_INFER_RESPONSE, len(response)) + response


def _joined(body: Body) -> bytes:
    return body if isinstance(body, bytes) else b"".join(body)


def address_of(peer: str) -> str:
    """The address of a client without its port; empty if it has none.

    Args:
        peer: As gRPC names it, such as ``ipv4:10.0.0.7:5000`` or ``ipv6:[::1]:5000``.
    """
    kind, _, rest = unquote(peer).partition(":")
    return rest.rpartition(":")[0].strip("[]") if kind in {"ipv4", "ipv6"} else ""
