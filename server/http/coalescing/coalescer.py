"""Coalescing: requests that differ in their numbers only are read and run together.

For a model that runs for microseconds, the work that Python does for each request is most of the
cost. Requests of one iteration of the event loop that are equal in all bytes but their numbers
gather in a `CoalescingGroup`. At the end of the iteration their numbers are joined and parsed once,
packed once, and run as one request of many rows. Where a tensor travels as raw bytes, these take
the place of the numbers.

Nothing is taken on trust. A `RequestTemplate` is learnt from a request that a version has answered
with 200, whose head is in the `HeadCache` and whose body has a template for that version:

- The head's bytes are part of the key. Equal bytes parse equally; the body's length is among them.
- `text_template` and `raw_template` prove that the body means the same apart from its numbers. Both
  parts around the numbers are part of the key.
- Each version learns the body's template for itself. A version that has not answered such a request
  gets it by the plain way, as do requests with odd numbers, and all of a group whose run failed.
  So only the culprit of an error gets one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

from penstock.server.http.call import Call
from penstock.server.http.codecs.negotiate import JSON

from . import raw_template, text_template
from .calls import CoalescedCalls
from .group import CoalescingGroup, GroupKey, RequestTemplate
from .linger import Linger
from .text_template import KEY, SPACE

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable
    from collections.abc import Set as AbstractSet

    from penstock.server.http.call import Door
    from penstock.server.http.codecs.signature import WireSignature
    from penstock.server.http.head import RequestHead

    from .head_cache import HeadCache

#: Requests remembered per process; beyond that the memory starts afresh.
MAX_TEMPLATES: Final = 4096
#: Templates of raw requests of one length; the least recently learnt is forgotten.
MAX_ALIKE: Final = 8
#: Where the list must begin for a request to be looked at.
MAX_OPENING_BYTES: Final = 2048
#: Larger bodies come in several pieces, and cost more to copy than to read.
MAX_BODY_BYTES: Final = 64 * 1024
#: Requests with one head that are looked at in vain before no more of them are.
MAX_TRIES: Final = 8

NOBODY: Final[AbstractSet[int]] = frozenset()


class Runner(Protocol):
    """Serves what has gathered; `penstock.server.http.coalescing.group_runner.GroupRunner`."""

    def serve(self, gathered: list[CoalescedCalls]) -> None:
        """Serve what an iteration of the loop has brought: calls that differ in numbers only.

        Never raises: each call is answered, whatever fails.
        """
        ...


class Coalescer:
    """All groups of a process.

    Args:
        loop: Whose iterations are meant.
        heads: The heads that are known.
        runner: Serves what has gathered.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        heads: HeadCache,
        runner: Runner,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._loop = loop
        self._heads = heads
        self._runner = runner
        self._clock = clock
        self._linger = Linger()
        self._text: dict[bytes, RequestTemplate] = {}
        self._raw: dict[int, list[RequestTemplate]] = {}
        self._latest: dict[int, RequestTemplate] = {}
        self._groups: dict[GroupKey, CoalescingGroup] = {}
        self._tries: dict[RequestHead, int] = {}
        self._busy: list[CoalescingGroup] = []

    def try_take(self, door: Door, data: bytes, now: float) -> Call | None:
        """Let a request wait in its group for the end of this iteration of the loop.

        Args:
            door: Where it came in.
            data: All that came.
            now: When that was.

        Returns:
            Its call, or ``None`` for what is not exactly one request of a known template.
        """
        template = self._latest.get(len(data))  # most of one length have one template: no search
        if (
            template is None
            or not data.startswith(template.opening)
            or not data.endswith(template.closing)
        ):
            template = self._search(data)
            if template is None:
                return None
        call, numbers = Call(door, template.head, now), data[template.start : template.end]
        group = template.group
        calls = group.calls
        if not calls:
            if not self._busy:
                self._loop.call_soon(self.flush)
            self._busy.append(group)
        calls.append(call)
        group.numbers.append(numbers)
        return call

    def _search(self, data: bytes) -> RequestTemplate | None:
        total = len(data)
        for template in self._raw.get(total, ()):
            if data.startswith(template.opening) and data.endswith(template.closing):
                return template
        start = data.find(b"[", data.find(KEY, 0, MAX_OPENING_BYTES)) + 1
        found = self._text.get(data[:start])
        if found is None or total != found.total or not data.endswith(found.closing):
            return None
        self._latest[total] = found
        return found

    def forget(self) -> None:
        """Know no request any more: every head has to be read again."""
        self._text.clear()
        self._raw.clear()
        self._latest.clear()
        self._groups.clear()
        self._tries.clear()

    def learn(self, answered: Iterable[tuple[Call, object]]) -> None:
        """Remember the requests that were answered with 200, if they can be.

        Never raises: the requests themselves were fine.

        Args:
            answered: The calls, with their answers. Their `Call.body` is let go.
        """
        try:
            for call, _ in answered:
                body = call.body
                if body is not None:
                    call.body = None
                    if call.servable is not None:
                        self._learn(call.head, bytes(body), call.servable.wire)
        except Exception as error:  # noqa: BLE001  see above
            self._report("learning a template", error)

    def _learn(self, head: RequestHead, body: bytes, wire: WireSignature) -> None:
        text = head.codec is JSON and head.json_length is None
        if not self._repeatable(head):
            if text:
                text_template.learn(body, wire)
            return
        assert isinstance(head.lines, bytes)
        known = self._search(head.lines + body)
        if known is not None and known.group.template(wire) is not None:
            return
        tries = self._tries.get(head, 0)
        if tries >= MAX_TRIES:
            return
        self._make_room()
        if self._learn_text(head, wire, body) if text else self._learn_raw(head, wire, body):
            self._tries.pop(head, None)
        else:
            self._tries[head] = tries + 1

    def _repeatable(self, head: RequestHead) -> bool:
        """Whether the bytes of the head are known, and ask for nothing special.

        A head that was forgotten since it was read is not: its token may have been revoked.
        """
        return (
            isinstance(head.lines, bytes)
            and self._heads.get(head.lines) is head
            and head.timeout_seconds is None
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
        alike = self._raw.setdefault(total, [])
        alike.insert(0, template)
        del alike[MAX_ALIKE:]
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

    def flush(self) -> None:
        """Serve what has gathered, or look once more for others that are expected.

        Called at the end of an iteration of the loop, and before that when a run is to be chosen.
        """
        if not self._busy:
            return
        inline = all([group.inline for group in self._busy])  # noqa: C419  half the cost
        present = NOBODY
        try:
            if inline and self._linger.wanted:
                present = {id(call.door) for group in self._busy for call in group.calls}
                if self._linger.expects(present, self._clock()):
                    self._loop.call_soon(self.flush)
                    return
        except Exception as error:  # noqa: BLE001  who has gathered is served all the same
            self._report("waiting for others", error)
        busy, self._busy = self._busy, []
        gathered = []
        for group in busy:
            gathered.append(CoalescedCalls(group, group.calls, group.numbers))
            group.calls, group.numbers = [], []
        self._runner.serve(gathered)
        if inline:
            self._linger.ran(present, self._clock())

    def _report(self, what: str, error: Exception) -> None:
        self._loop.call_exception_handler({"message": f"{what} failed", "exception": error})
