"""Lanes: requests that differ in their numbers only are read and run together.

For a model that runs for microseconds, the work that Python does for each request is most of the
cost. Requests of one iteration of the event loop whose bytes are alike up to the first number (same
head, same JSON before and behind the list) gather in a `Lane`; at the end of the iteration their
numbers are joined and parsed once, packed once, and run as one request of many rows.

Where a tensor travels as raw bytes, in msgpack and in the binary extension, the same is done with
these: requests of equal length that are alike before and behind the tensor (`known_raw`).

Nothing is taken on trust. A `Pattern` is learnt from a request that the ordinary way has parsed and
validated: a head in `known_heads` and a `known_bodies.Frame`. The joined text must be a flat JSON
list in which every row has as many elements as its shape says; each element must pack. Then every
row means what it would have meant alone. Whatever fails, parsing, packing, admission or the run
itself, the requests go one by one the ordinary way, so that only the culprit gets an error.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

from .alike import Alike
from .call import Call
from .codecs import known_raw
from .codecs.known_bodies import KEY
from .codecs.negotiate import JSON
from .company import Company
from .lane import Lane, Pattern

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet

    from .call import Door
    from .codecs.known_bodies import Frame
    from .codecs.signature import WireSignature
    from .head import RequestHead

#: Openings remembered per process; beyond that the memory starts afresh.
MAX_PATTERNS: Final = 4096
#: Patterns of raw requests of one length; the least recently learnt is forgotten.
MAX_ALIKE: Final = 8
#: Where the list must begin for a request to be looked at.
MAX_OPENING_BYTES: Final = 2048

NOBODY: Final[AbstractSet[int]] = frozenset()


class Service(Protocol):
    """Who serves what has gathered; `penstock.server.http.together.Together`."""

    def wire(self, head: RequestHead) -> WireSignature | None:
        """The signature of the version that serves requests with this head, if it takes rows."""
        ...

    def serve(self, gathered: list[Alike]) -> None:
        """Serve what an iteration of the loop has brought: calls that differ in numbers only.

        Never raises: each call is answered, whatever fails.
        """
        ...


class Lanes:
    """All lanes of a process.

    Args:
        loop: Whose iterations are meant.
        service: Serves what has gathered.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        service: Service,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._loop = loop
        self._service = service
        self._clock = clock
        self._company = Company()
        self._patterns: dict[bytes, Pattern] = {}
        self._raw: dict[int, list[Pattern]] = {}
        self._latest: dict[int, Pattern] = {}
        self._not_raw: set[tuple[RequestHead, int]] = set()
        self._lanes: dict[tuple[str, str | None, bytes, bytes], Lane] = {}
        self._busy: list[Lane] = []

    def take(self, door: Door, data: bytes, now: float) -> Call | None:
        """Let a request wait in its lane for the end of this iteration of the loop.

        Args:
            door: Where it came in.
            data: All that came.
            now: When that was.

        Returns:
            Its call, or ``None`` for what is not exactly one request of a known pattern.
        """
        pattern = self._latest.get(len(data))  # most of one length are of one pattern: no search
        if (
            pattern is None
            or not data.startswith(pattern.opening)
            or not data.endswith(pattern.closing)
        ):
            pattern = self._search(data)
            if pattern is None:
                return None
        lane = pattern.lane
        calls = lane.calls
        call, numbers = Call(door, pattern.head, now), data[pattern.start : pattern.end]
        if not calls:
            if not self._busy:
                self._loop.call_soon(self.flush)
            self._busy.append(lane)
        calls.append(call)
        lane.numbers.append(numbers)
        return call

    def _search(self, data: bytes) -> Pattern | None:
        total = len(data)
        for pattern in self._raw.get(total, ()):
            if data.startswith(pattern.opening) and data.endswith(pattern.closing):
                return pattern
        start = data.find(b"[", data.find(KEY, 0, MAX_OPENING_BYTES)) + 1
        found = self._patterns.get(data[:start])
        if found is None or total != found.total or not data.endswith(found.closing):
            return None
        self._latest[total] = found
        return found

    def forget(self) -> None:
        """Know no request any more: every head has to be read again."""
        self._patterns.clear()
        self._raw.clear()
        self._latest.clear()
        self._lanes.clear()
        self._not_raw.clear()

    def learn(self, head: RequestHead, data: bytes, body_start: int) -> None:
        """Remember the pattern of a request that was served the ordinary way, if it has one.

        Never raises: the request itself was fine.

        Args:
            head: Its head, one of the known.
            data: All its bytes.
            body_start: Where its body begins.
        """
        try:
            self._learn(head, data, body_start)
        except Exception as error:  # noqa: BLE001  see above
            self._report("learning a pattern", error)

    def _learn(self, head: RequestHead, data: bytes, body_start: int) -> None:
        if head.timeout_seconds is not None or head.content_encoding or not head.keep_alive:
            return
        if len(data) - body_start > known_raw.MAX_BODY_BYTES:
            return
        if len(self._patterns) + len(self._raw) >= MAX_PATTERNS:
            self.forget()
        wire = self._service.wire(head)
        if wire is None:
            return
        if head.codec is JSON and head.json_length is None:
            self._learn_text(head, wire, data, body_start)
        else:
            self._learn_raw(head, wire, data, body_start)

    def _learn_text(
        self, head: RequestHead, wire: WireSignature, data: bytes, body_start: int
    ) -> None:
        key = data.find(KEY, body_start, MAX_OPENING_BYTES) + len(KEY)
        start = data.find(b"[", key) + 1
        opening = data[body_start:key]
        frame: Frame | None = wire.frames.get(opening)
        if frame is None or frame.rows != 1 or not frame.spec.code or not frame.size or not start:
            return
        closing = b"]" + frame.closing
        if not data.endswith(closing) or b"[" in data[start:]:
            return
        lane = self._lane(head, opening, data[body_start:start], closing)
        pattern = Pattern(head, lane, data[:start], len(data))
        self._patterns[pattern.opening] = pattern

    def _learn_raw(
        self, head: RequestHead, wire: WireSignature, data: bytes, body_start: int
    ) -> None:
        """Tried once for each head and length: it means to decode the body again, twice."""
        total = len(data)
        if (head, total) in self._not_raw:
            return
        if len(self._not_raw) >= MAX_PATTERNS:
            self._not_raw.clear()
        self._not_raw.add((head, total))
        frame = known_raw.learn(head.codec, head.json_length, data[body_start:], wire)
        if frame is None:
            return
        lane = self._lane(head, b"", frame.prefix, frame.closing)
        pattern = Pattern(head, lane, data[:body_start] + frame.prefix, total)
        alike = self._raw.setdefault(total, [])
        alike.insert(0, pattern)
        del alike[MAX_ALIKE:]

    def _lane(self, head: RequestHead, opening: bytes, prefix: bytes, closing: bytes) -> Lane:
        key = head.model, head.version, prefix, closing
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(head, opening, prefix, closing)
        return lane

    def flush(self) -> None:
        """Serve what has gathered, or look once more for whom it is to wait for.

        Called at the end of an iteration of the loop, and before that when a run is to be chosen.
        """
        if not self._busy:
            return
        inline = all([lane.inline for lane in self._busy])  # noqa: C419  half the cost
        present = NOBODY
        try:
            if inline and self._company.wanted:
                present = {id(call.door) for lane in self._busy for call in lane.calls}
                if self._company.expects(present, self._clock()):
                    self._loop.call_soon(self.flush)
                    return
        except Exception as error:  # noqa: BLE001  who has gathered is served all the same
            self._report("waiting for company", error)
        busy, self._busy = self._busy, []
        gathered = []
        for lane in busy:
            gathered.append(Alike(lane, lane.calls, lane.numbers))
            lane.calls, lane.numbers = [], []
        self._service.serve(gathered)
        if inline:
            self._company.ran(present, self._clock())

    def _report(self, what: str, error: Exception) -> None:
        self._loop.call_exception_handler({"message": f"{what} failed", "exception": error})
