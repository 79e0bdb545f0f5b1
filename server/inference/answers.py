"""Encodes finished batches as the bytes of answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.server.codecs.classification import classified
from penstock.server.codecs.compression import MIN_COMPRESSED_BYTES, compress
from penstock.server.codecs.json import encode_pieces
from penstock.server.codecs.negotiate import JSON
from penstock.server.codecs.raw import MIN_VIEW_BYTES

from .coalesced_calls import calls_of
from .failure_kinds import unsound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.batching.request import Batch
    from penstock.runtimes.contract import Array
    from penstock.server.codecs.messages import InferRequest
    from penstock.server.codecs.negotiate import Body, Codec
    from penstock.server.serving.servable import Servable

    from .call import Call
    from .head import RequestHead
    from .traffic_splitter import TrafficSplitter

    #: Header lines and body, or what went wrong with this one call.
    Answer = tuple[bytes, Body] | Exception
    #: All calls of a run, the row in which each begins, those to be answered, their answers, and
    #: which of them have invalid outputs.
    EncodedRun = tuple[list[Call], list[int], list[Call], list[Answer], set[Call]]

JSON_HEADERS: Final = b"content-type: application/json\r\n"


def encode_run(servable: Servable, batch: Batch, splitter: TrafficSplitter) -> EncodedRun:
    """Encode the answers of a run that did not fail.

    Args:
        servable: The version that ran.
        batch: The finished run.
        splitter: Decides which calls are answered from it.
    """
    calls, firsts = calls_of(batch, alone=not servable.wire.batch_axis)
    waiting, starts = calls, firsts
    invalid: set[Call] = set()
    if servable.routed:
        bad = unsound(firsts, batch, batched=servable.wire.batch_axis)
        waiting, starts, invalid = splitter.sift(servable, calls, firsts, bad)
    answers = encode_batch(servable, waiting, starts, batch.outputs, waiting is calls)
    return calls, firsts, waiting, answers, invalid


def encode_batch(
    servable: Servable,
    calls: Sequence[Call],
    firsts: Sequence[int],
    outputs: Sequence[Array],
    complete: bool = True,  # noqa: FBT001, FBT002  a keyword costs a tenth of a microsecond
) -> list[Answer]:
    """Encode one answer per call, in order: header lines and body, or the error of that call alone.

    Args:
        servable: The version that ran.
        calls: The calls whose requests shared the run.
        firsts: The first row of each call.
        outputs: The output arrays of the run.
        complete: Whether these are all calls of the run.
    """
    wire = servable.wire
    codec = calls[0].plain if complete else None
    if codec is not None and wire.batch_axis and _all_plain(calls, codec):
        messages = [call.message for call in calls]
        try:
            bodies, headers = codec.encode_rows(wire, messages, outputs)  # type: ignore[arg-type]
            headers = servable.headers + headers
            return [
                (headers, body)
                if len(body) < MIN_COMPRESSED_BYTES or call.head.accept_encoding is None
                else _compressed(headers, _joined(body), call.head.accept_encoding)
                for call, body in zip(calls, bodies, strict=True)
            ]
        except Exception:  # noqa: BLE001, S110  one of them cannot be written; find out which
            pass
    if not wire.batch_axis:
        return [_encode(servable, call.head, call.message, outputs) for call in calls]
    return [
        _encode(servable, call.head, call.message, _rows_of(call, first, outputs))
        for call, first in zip(calls, firsts, strict=True)
    ]


def encode_coalesced(
    servable: Servable,
    accept_encoding: str | None,
    message: InferRequest,
    codec: Codec,
    batch: Batch,
) -> tuple[bytes, Sequence[Body]] | None:
    """Encode answers of requests that have one row each and differ in their numbers only.

    Args:
        servable: The version that ran.
        accept_encoding: As in `RequestHead`.
        message: The common meaning of the bodies, apart from their numbers.
        codec: The codec of the answers.
        batch: The finished run.

    Returns:
        Header lines and bodies; ``None`` if one answer cannot be written or must be compressed.
    """
    try:
        bodies, lines = codec.encode_rows(servable.wire, [message] * batch.rows, batch.outputs)
    except Exception:  # noqa: BLE001  who is at fault hears of it when they are written singly
        return None
    if len(bodies) != batch.rows:
        return None
    if accept_encoding is not None and max(map(len, bodies)) >= MIN_COMPRESSED_BYTES:
        return None
    return servable.headers + lines, bodies


def _rows_of(call: Call, first: int, outputs: Sequence[Array]) -> list[Array]:
    """The output rows of one call; no rows if the call sent none and ran with a made-up row."""
    assert call.message is not None
    last = first + call.message.rows
    return [output[first:last] for output in outputs]


def _all_plain(calls: Sequence[Call], codec: Codec) -> bool:
    return all([call.plain is codec for call in calls])  # noqa: C419  a generator costs twice as much


def encode_large(
    servable: Servable, head: RequestHead, message: InferRequest, outputs: Sequence[Array]
) -> Answer:
    """Encode one answer on a thread: the bytes are those of `encode_batch`, a large body in pieces.

    Args:
        servable: The version that ran.
        head: The head of the request.
        message: The decoded body of the request.
        outputs: The output rows of the request.
    """
    answer = _encode(servable, head, message, outputs, large=True)
    if isinstance(answer, tuple) and len(answer[1]) >= MIN_VIEW_BYTES:
        headers, body = answer
        return headers, [body] if isinstance(body, bytes) else body  # the pieces are never joined
    return answer


def _encode(
    servable: Servable,
    head: RequestHead,
    message: InferRequest | None,
    outputs: Sequence[Array],
    *,
    large: bool = False,
) -> Answer:
    assert message is not None
    wire = servable.wire
    try:
        if message.classes is not None:
            wire, outputs = classified(wire, message, outputs)
        if large and head.codec is JSON and message.binary_outputs is None:
            body: Body = encode_pieces(wire, message, outputs)
            lines = JSON_HEADERS
        else:
            body, lines = head.codec.encode(wire, message, outputs)
        headers = servable.headers + lines
        if head.accept_encoding is None or len(joined := _joined(body)) < MIN_COMPRESSED_BYTES:
            return headers, body
        return _compressed(headers, joined, head.accept_encoding)
    except Exception as error:  # noqa: BLE001  it is this call's alone
        return error


def _joined(body: Body) -> bytes:
    return body if isinstance(body, bytes) else b"".join(body)


def _compressed(headers: bytes, body: bytes, encoding: str) -> Answer:
    lines = b"content-encoding: %b\r\nvary: accept-encoding\r\n" % encoding.encode()
    return headers + lines, compress(body, encoding)
