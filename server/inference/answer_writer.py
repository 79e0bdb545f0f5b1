"""Writes finished answers to the response writers of their calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from penstock.server.codecs.negotiate import Body

    from .call import Call


def write_answers(status: int, answers: Iterable[tuple[Call, bytes, bytes, Body]]) -> None:
    """Write answers. Each answer has its call, request id, header lines and body."""
    last: bytes | None = None
    opening = b""
    for call, request_id, headers, body in answers:
        if headers is not last:  # equal for most answers of a run
            preamble = call.writer.preamble(status)
            opening = b"%b%bx-request-id: " % (preamble, headers)
            last = headers if preamble else None  # calls of the ASGI front end are in the same runs
        if type(body) is not bytes or not call.writer.answer(
            call, b"%b%b\r\ncontent-length: %d\r\n\r\n%b" % (opening, request_id, len(body), body)
        ):
            lines = b"%bx-request-id: %b\r\n" % (headers, request_id)
            call.writer.respond(call, status, lines, body)
