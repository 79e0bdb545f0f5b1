"""The known request templates, found by all bytes of a request but its numbers.

A `RequestTemplate` is learnt from a request that a version has answered with 200, whose head is in
the `HeadCache` and whose body has a template for that version. Another request with the same bytes
around its numbers means the same, apart from these:

- The head's bytes are part of the key. Equal bytes parse equally; the body's length is among them.
- `text_template` and `raw_template` prove that the body means the same apart from its numbers. Both
  parts around the numbers are part of the key.
- Each version learns the body's template for itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.server.codecs.negotiate import JSON

from . import raw_template, text_template
from .group import CoalescingGroup, GroupKey, RequestTemplate
from .text_template import KEY, SPACE

if TYPE_CHECKING:
    from penstock.server.codecs.signature import WireSignature
    from penstock.server.inference.head import RequestHead

    from .head_cache import HeadCache

#: Templates per process; a full memory is cleared.
MAX_TEMPLATES: Final = 4096
#: Templates of raw requests of one length; the least recently learnt is forgotten.
MAX_ALIKE: Final = 8
#: The list of numbers must begin within so many bytes.
MAX_OPENING_BYTES: Final = 2048
#: After so many requests of one head without a template, no more of them are tried.
MAX_TRIES: Final = 8


class RequestTemplates:
    """The templates and groups of a process.

    Attributes:
        latest: The template that was found last, by the bytes of its requests.

    Args:
        heads: The known request heads.
    """

    def __init__(self, heads: HeadCache) -> None:
        self.latest: dict[int, RequestTemplate] = {}
        self._heads = heads
        self._text: dict[bytes, RequestTemplate] = {}
        self._raw: dict[int, list[RequestTemplate]] = {}
        self._groups: dict[GroupKey, CoalescingGroup] = {}
        self._tries: dict[RequestHead, int] = {}

    def find(self, data: bytes) -> RequestTemplate | None:
        """The template of a request, or ``None``.

        Args:
            data: All its bytes, and nothing behind them.
        """
        total = len(data)
        for template in self._raw.get(total, ()):
            if data.startswith(template.opening) and data.endswith(template.closing):
                self.latest[total] = template
                return template
        start = data.find(b"[", data.find(KEY, 0, MAX_OPENING_BYTES)) + 1
        found = self._text.get(data[:start])
        if found is None or total != found.total or not data.endswith(found.closing):
            return None
        self.latest[total] = found
        return found

    def learn(self, head: RequestHead, body: bytes, wire: WireSignature) -> None:
        """Learn the template of a request that was answered with 200, if it has one.

        Args:
            head: The request head.
            body: The request body.
            wire: The signature of the version that has answered.
        """
        text = head.codec is JSON and head.json_length is None
        if not self._repeatable(head):
            if text:
                text_template.learn(body, wire)
            return
        tries = self._tries.get(head, 0)
        if tries >= MAX_TRIES:
            return
        assert isinstance(head.lines, bytes)
        known = self.find(head.lines + body)
        if known is not None and known.group.template(wire) is not None:
            return
        self._make_room()
        if self._learn_text(head, wire, body) if text else self._learn_raw(head, wire, body):
            self._tries.pop(head, None)
        else:
            self._tries[head] = tries + 1

    def _repeatable(self, head: RequestHead) -> bool:
        """Whether the head is cached, and has no fields that differ between requests.

        A head that left the cache since it was parsed is not cached: its token may have been
        revoked.
        """
        return (
            isinstance(head.lines, bytes)
            and self._heads.get(head.lines) is head
            and head.timeout_seconds is None
            and not head.background
            and not head.content_encoding
            and head.keep_alive
        )

    def _learn_text(self, head: RequestHead, wire: WireSignature, body: bytes) -> bool:
        known = text_template.learn(body, wire)
        if known is None or not known.coalescible:
            return False
        listed = body[: -len(known.closing)].rstrip(SPACE)
        start = body.find(b"[", len(known.opening)) + 1
        if body.find(b"[", start) >= 0 or start >= len(listed):
            return False  # nested lists
        assert isinstance(head.lines, bytes)
        opening = head.lines + body[:start]
        if len(opening) > MAX_OPENING_BYTES:
            return False
        group = self._group(head, known.opening, body[:start], body[len(listed) - 1 :])
        self._text[opening] = RequestTemplate(head, group, opening, len(head.lines) + len(body))
        return True

    def _learn_raw(self, head: RequestHead, wire: WireSignature, body: bytes) -> bool:
        known = raw_template.learn(head, body, wire)
        if known is None:
            return False
        key = known.key
        assert isinstance(head.lines, bytes)
        group = self._group(head, key, key.prefix, key.closing)
        total = len(head.lines) + len(body)
        template = RequestTemplate(head, group, head.lines + key.prefix, total)
        around = template.opening, template.closing
        others = [one for one in self._raw.get(total, ()) if (one.opening, one.closing) != around]
        self._raw[total] = [template, *others[: MAX_ALIKE - 1]]
        return True

    def _make_room(self) -> None:
        memories = len(self._text), len(self._raw), len(self._groups), len(self._tries)
        if max(memories) >= MAX_TEMPLATES:
            self.forget()

    def _group(
        self, head: RequestHead, form: bytes | raw_template.RawKey, prefix: bytes, closing: bytes
    ) -> CoalescingGroup:
        key = GroupKey(head.model, head.version, head.accept_encoding, form, prefix, closing)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = CoalescingGroup(key, head.codec)
        return group

    def forget(self) -> None:
        """Forget all templates, so that every request is parsed again."""
        self._text.clear()
        self._raw.clear()
        self.latest.clear()
        self._groups.clear()
        self._tries.clear()
