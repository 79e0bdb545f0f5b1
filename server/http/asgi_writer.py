"""The ASGI front end: a prediction under any ASGI server, with the same path and the same bytes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from penstock.server.errors import ApiError, BodyTooLarge, RequestTimeout
from penstock.server.inference.call import Call
from penstock.server.inference.future_writer import FutureWriter
from penstock.server.inference.head import read_head
from penstock.server.inference.server_timing import wants_timing
from penstock.server.ports.pieces import add_piece, body_of

from .custom_attributes import custom_attributes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from starlette.types import Receive, Scope, Send

    from penstock.server.inference.prediction_paths import Target
    from penstock.server.ports.limits import Limits
    from penstock.server.ports.pieces import Pieces

    from .prediction_port import PredictionPort


#: Size of the pieces of an answer, so that no single copy takes long.
CONTENT_BYTES: Final = 1 << 20


class Disconnected(Exception):
    """The client left before its request was complete."""


async def infer(
    port: PredictionPort,
    target: Target,
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    """Serve ``POST /v2/models/{m}[/versions/{v}]/infer`` and ``POST /v1/models/{m}:predict``.

    Args:
        port: The prediction port.
        target: Model and operation that the path names.
        scope: The ASGI scope.
        receive: The ASGI receive function.
        send: The ASGI send function.
    """
    client = scope.get("client")
    writer = FutureWriter(asyncio.get_running_loop(), client[0] if client else "")
    responder = port.inference.responder
    arrival = port.clock()
    headers = scope["headers"]
    query = scope.get("query_string", b"")
    head = read_head(target.model, target.version, headers, target.protocol, query)
    head.http_version = scope.get("http_version", head.http_version)
    port.check(head, headers)
    call = Call(writer, head, arrival)
    call.timed = wants_timing(query, headers)
    responder.timed += call.timed
    try:
        await _answered(port, call, writer, scope, receive)
    finally:
        responder.timed -= call.timed
    if not writer.answered.done():
        return
    status, lines, body = writer.answered.result()
    pieces = [body] if isinstance(body, bytes) else body
    pairs = [*header_pairs(lines), (b"content-length", b"%d" % sum(map(len, pieces)))]
    pairs += custom_attributes(headers)
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    for content, more in contents(pieces):
        await send({"type": "http.response.body", "body": content, "more_body": more})


async def _answered(
    port: PredictionPort, call: Call, writer: FutureWriter, scope: Scope, receive: Receive
) -> None:
    """Serve a call until it has its answer, or the client has left."""
    inference = port.inference
    try:
        port.limits.check_head(_target_bytes(scope), scope["headers"])
        inference.start(call, await read_body(port.limits, receive))
    except Disconnected:
        return
    except ApiError as error:
        inference.fail(call, error)
    watch = asyncio.get_running_loop().create_task(_disconnect(receive))
    try:
        await asyncio.wait((writer.answered, watch), return_when=asyncio.FIRST_COMPLETED)
    finally:  # also when the server gives up on this task
        watch.cancel()
        if not writer.answered.done():
            inference.abandon(call)


def contents(pieces: Sequence[bytes | memoryview]) -> Iterator[tuple[bytes, bool]]:
    """The content of an answer as bytes objects for ASGI, none of which takes long to copy.

    Args:
        pieces: The answer; views are of bytes.

    Yields:
        Pieces of about `CONTENT_BYTES`, joined from small ones or cut from large ones, each with
        whether more follows.
    """
    left = sum(map(len, pieces))
    waiting: list[memoryview] = []
    size = 0
    for piece in pieces:
        view = memoryview(piece)
        for first in range(0, len(view), CONTENT_BYTES):
            part = view[first : first + CONTENT_BYTES]
            waiting.append(part)
            size += len(part)
            if size >= CONTENT_BYTES and size < left:
                left -= size
                yield b"".join(waiting), True
                waiting, size = [], 0
    yield b"".join(waiting), False


def header_pairs(lines: bytes) -> list[tuple[bytes, bytes]]:
    """Header lines as pairs of bytes for ASGI."""
    pairs = (line.partition(b": ") for line in lines.split(b"\r\n")[:-1])
    return [(name, value) for name, _, value in pairs]


async def read_body(limits: Limits, receive: Receive) -> bytes:
    """Read the whole body.

    Raises:
        BodyTooLarge: It is over the limit.
        RequestTimeout: A piece took too long.
        Disconnected: The client left.
    """
    pieces: Pieces = []
    size = 0
    while True:
        try:
            async with asyncio.timeout(limits.body_timeout_seconds):
                message = await receive()
        except TimeoutError:
            raise RequestTimeout("the body did not arrive in time") from None
        if message["type"] == "http.disconnect":
            raise Disconnected
        piece: bytes = message.get("body", b"")
        size += len(piece)
        if size > limits.max_body_bytes:
            raise BodyTooLarge(f"the body is over {limits.max_body_bytes} bytes")
        add_piece(pieces, piece)
        if not message.get("more_body", False):
            return body_of(pieces)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _target_bytes(scope: Scope) -> int:
    query = scope.get("query_string", b"")
    return len(scope.get("raw_path") or scope["path"]) + len(query) + bool(query)
