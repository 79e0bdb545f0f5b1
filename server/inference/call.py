"""One prediction call, from its first byte to its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from penstock.batching.request import InferenceRequest
    from penstock.server.codecs.messages import InferRequest
    from penstock.server.codecs.negotiate import Body, Codec
    from penstock.server.serving.active_split import Assignment
    from penstock.server.serving.servable import Servable

    from .head import RequestHead


class ResponseWriter(Protocol):
    """Writes answers to the connection of a call.

    No method raises: a connection that cannot be written to is broken off, which ends its calls.

    Attributes:
        peer: Address of the client, without its port; empty if it is not known.
    """

    peer: bytes

    def respond(self, call: Call, status: int, headers: bytes, body: Body) -> None:
        """Send the answer. Nothing is sent if `owes` says that the call has its answer.

        Args:
            call: The call to answer.
            status: HTTP status.
            headers: Complete header lines, each ended by CRLF, without ``content-length``.
            body: The body.
        """
        ...

    def response_head(self, status: int) -> bytes:
        """The beginning of an answer for `answer`: status line and the server's own headers."""
        ...

    def answer(self, call: Call, answer: bytes) -> bool:
        """Send all bytes of an answer, if this call is the only one that is unanswered here.

        Returns:
            Whether they were sent; if not, the caller uses `respond`.
        """
        ...

    def owes(self, call: Call) -> bool:
        """Whether the call still waits for its answer on this connection."""
        ...


class Call:
    """The state of one prediction call; created by a front end, filled in along the way.

    Attributes:
        writer: Writes its answer.
        head: The parsed request head.
        arrival: Monotonic seconds when its first byte was seen.
        servable: The version chosen to serve it.
        assignment: Its arm of an active split; ``None`` without a split.
        message: Its decoded body.
        body: The body, if a template may be learnt from it after an answer with 200.
        plain: Encodes it together with the rest of its batch; ``None`` if it is encoded alone.
        request: Its place in the batcher; ``None`` for a call that shares one in a group.
        entered: Whether it is counted as in flight.
        request_id: Sent back as ``x-request-id``.
        abandoned: Whether the client went away; then nothing is sent.
        timed: Whether the answer tells how long it waited and ran.
        answer: Status, header lines and body of an answer that waits for its turn.
    """

    # Class attributes: most calls never set these, and a class attribute costs nothing per call.
    servable: Servable | None = None
    assignment: Assignment | None = None
    message: InferRequest | None = None
    body: bytes | None = None
    plain: Codec | None = None
    request: InferenceRequest | None = None
    entered = False
    request_id = b""
    abandoned = False
    timed = False
    answer: tuple[int, bytes, Body] | None = None

    def __init__(self, writer: ResponseWriter, head: RequestHead, arrival: float) -> None:
        self.writer = writer
        self.head = head
        self.arrival = arrival

    @property
    def arm(self) -> str:
        """The arm of the call, ``stable`` or ``canary``; empty without a split."""
        return "" if self.assignment is None else self.assignment.arm


def write_answers(status: int, answers: Iterable[tuple[Call, bytes, bytes, Body]]) -> None:
    """Write answers. Each answer has its call, request id, header lines and body."""
    last: bytes | None = None
    opening = b""
    for call, request_id, headers, body in answers:
        if headers is not last:  # equal for most answers of a run
            head = call.writer.response_head(status)
            opening = b"%b%bx-request-id: " % (head, headers)
            last = headers if head else None  # calls of the ASGI front end are in the same runs
        if type(body) is not bytes or not call.writer.answer(
            call, b"%b%b\r\ncontent-length: %d\r\n\r\n%b" % (opening, request_id, len(body), body)
        ):
            lines = b"%bx-request-id: %b\r\n" % (headers, request_id)
            call.writer.respond(call, status, lines, body)
