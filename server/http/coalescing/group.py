"""Groups of requests for one model whose bytes differ in their numbers only."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .raw_template import RawKey
from .text_template import SPACE

if TYPE_CHECKING:
    from penstock.server.codecs.negotiate import Codec
    from penstock.server.codecs.signature import WireSignature
    from penstock.server.inference.call import Call
    from penstock.server.inference.head import RequestHead

    from .raw_template import RawTemplate
    from .text_template import TextTemplate


class GroupKey(NamedTuple):
    """The common part of the requests of a group: everything but their numbers.

    Attributes:
        model: As in `RequestHead`.
        version: As in `RequestHead`.
        accept_encoding: As in `RequestHead`.
        form: The key of the body's template: the opening of a text, or a `RawKey`.
        prefix: The bytes of the body before the numbers.
        closing: The bytes behind the numbers.
    """

    model: str
    version: str | None
    accept_encoding: str | None
    form: bytes | RawKey
    prefix: bytes
    closing: bytes


class CoalescingGroup:
    """Requests of one iteration of the event loop whose bytes differ in their numbers only.

    Attributes:
        key: The common part of the requests.
        model: As in `RequestHead`.
        version: As in `RequestHead`.
        accept_encoding: As in `RequestHead`.
        codec: The codec of the bodies.
        inline: Whether its last calls could run on the event loop.
        calls: The calls, one for each request.
        numbers: The numbers of each, as text or as the bytes of a tensor.
    """

    __slots__ = (
        "_found",
        "_wire",
        "accept_encoding",
        "calls",
        "codec",
        "inline",
        "key",
        "model",
        "numbers",
        "version",
    )

    def __init__(self, key: GroupKey, codec: Codec) -> None:
        self.key = key
        self.model = key.model
        self.version = key.version
        self.accept_encoding = key.accept_encoding
        self.codec = codec
        self.inline = True
        self.calls: list[Call] = []
        self.numbers: list[bytes] = []
        self._wire: WireSignature | None = None
        self._found: TextTemplate | RawTemplate | None = None

    def template(self, wire: WireSignature) -> TextTemplate | RawTemplate | None:
        """The template that says what these requests mean to a version, apart from their numbers.

        The group keeps the template that was found last, with its signature. A template never
        changes, and all requests of a group have the same key, so the proof of the template
        holds for as long as the group exists.

        Args:
            wire: The version's signature.

        Returns:
            ``None`` if this version has answered no request of this form, or takes no rows of it.
        """
        if wire is self._wire:
            return self._found
        found = self._find(wire)
        if found is not None:
            self._wire, self._found = wire, found
        return found

    def _find(self, wire: WireSignature) -> TextTemplate | RawTemplate | None:
        form = self.key.form
        if isinstance(form, RawKey):
            raw: RawTemplate | None = wire.body_templates.get(form)
            return raw
        text: TextTemplate | None = wire.body_templates.get(form)
        if text is None or not text.coalescible:
            return None
        # A version may have learnt the template from a body with other white space at its end.
        closing = self.key.closing
        between = closing[1 : -len(text.closing)]
        return text if closing.endswith(text.closing) and not between.strip(SPACE) else None

    def body(self, numbers: bytes) -> bytes:
        """The body of a request with these numbers."""
        return b"%b%b%b" % (self.key.prefix, numbers, self.key.closing)


class RequestTemplate:
    """All bytes of a request but its numbers.

    Attributes:
        head: The parsed request head.
        group: The group of its requests.
        opening: All bytes before the numbers: the whole head, and the body up to the numbers.
        closing: All bytes behind the numbers.
        total: Bytes of the request.
        start: Offset of the first byte of the numbers.
        end: Offset behind the last byte of the numbers.
    """

    __slots__ = ("closing", "end", "group", "head", "opening", "start", "total")

    def __init__(
        self, head: RequestHead, group: CoalescingGroup, opening: bytes, total: int
    ) -> None:
        self.head = head
        self.group = group
        self.opening = opening
        self.closing = group.key.closing
        self.total = total
        self.start = len(opening)
        self.end = total - len(group.key.closing)
