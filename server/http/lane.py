"""Where requests for one model meet that are alike but for their numbers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from .codecs import known_raw

if TYPE_CHECKING:
    from .call import Call
    from .codecs.known_bodies import Frame
    from .codecs.known_raw import RawFrame
    from .codecs.signature import WireSignature
    from .head import RequestHead


class Lane:
    """Requests of this iteration of the loop for one model, alike but for their numbers.

    Attributes:
        head: Of one of them; model, version and codec are those of all.
        model: As in `RequestHead`.
        version: As in `RequestHead`.
        opening: Key of the frame in `WireSignature.frames`; empty if the numbers are raw bytes.
        prefix: The bytes of the body before the numbers.
        closing: The bytes behind the numbers.
        inline: Whether its last calls could run on the event loop.
        calls: Whose numbers these are.
        numbers: The numbers of each, as text or as the bytes of a tensor.
    """

    __slots__ = (
        "calls",
        "closing",
        "head",
        "inline",
        "model",
        "numbers",
        "opening",
        "prefix",
        "version",
    )

    def __init__(self, head: RequestHead, opening: bytes, prefix: bytes, closing: bytes) -> None:
        self.head = head
        self.model = head.model
        self.version = head.version
        self.opening = opening
        self.prefix = prefix
        self.closing = closing
        self.inline = True
        self.calls: list[Call] = []
        self.numbers: list[bytes] = []

    def frame(self, wire: WireSignature, numbers: bytes) -> Frame | RawFrame | None:
        """What these requests mean to a version, apart from their numbers.

        Args:
            wire: The version's signature.
            numbers: Of one of them.
        """
        if self.opening:
            frame: Frame | None = wire.frames.get(self.opening)
            return frame
        head, body = self.head, partial(self.body, numbers)
        return known_raw.known(head.codec, head.json_length, self.prefix, body, wire)

    def body(self, numbers: bytes) -> bytes:
        """The body of a request with these numbers."""
        return b"%b%b%b" % (self.prefix, numbers, self.closing)


class Pattern:
    """What the bytes around a request's numbers say.

    Attributes:
        head: The request's head.
        lane: Where it goes.
        opening: All bytes before the numbers, the head's included.
        closing: As in `Lane`.
        total: Bytes of the request.
        start: Where the numbers begin.
        end: Where they end.
    """

    __slots__ = ("closing", "end", "head", "lane", "opening", "start", "total")

    def __init__(self, head: RequestHead, lane: Lane, opening: bytes, total: int) -> None:
        self.head = head
        self.lane = lane
        self.opening = opening
        self.closing = lane.closing
        self.total = total
        self.start = len(opening)
        self.end = total - len(lane.closing)
