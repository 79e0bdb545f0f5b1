"""Lanes: requests that differ in their numbers only are read and run together.

For a model that runs for microseconds, the work that Python does for each request is most of the
cost. Requests of one iteration of the event loop whose bytes are alike up to the first number (same
head, same JSON before and behind the list) gather in a `Lane`; at the end of the iteration their
numbers are joined and parsed once, packed once, and run as one request of many rows.

Nothing is taken on trust. A `Pattern` is learnt from a request that the ordinary way has parsed and
validated: a head in `known_heads` and a `known_bodies.Frame`. Each row must have as many commas as
its shape says; the joined text must be a flat JSON list of that many elements; each element must
pack. Then every row has the right number of elements, and means what it would have meant alone.
Whatever fails, parsing, packing, admission or the run itself, the requests go one by one the
ordinary way, so that only the culprit gets an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from .codecs.known_bodies import KEY
from .codecs.negotiate import JSON

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator, Sequence

    from penstock.batching.request import Batch

    from .call import Call
    from .codecs.known_bodies import Frame
    from .head import RequestHead

Key = TypeVar("Key")

#: Openings remembered per process; beyond that the memory starts afresh.
MAX_PATTERNS: Final = 4096
#: Where the list must begin for a request to be looked at.
MAX_OPENING_BYTES: Final = 2048


class Lane:
    """Requests of this iteration of the loop for one model, alike but for their numbers.

    Attributes:
        model: As in `RequestHead`.
        version: As in `RequestHead`.
        opening: Key of the frame in `WireSignature.frames`.
        prefix: The bytes before the numbers; the opening, white space and a bracket.
        closing: The bytes behind the numbers.
        commas: Between the numbers of one request.
        calls: Whose numbers these are.
        numbers: The numbers of each, as text.
    """

    __slots__ = ("calls", "closing", "commas", "model", "numbers", "opening", "prefix", "version")

    def __init__(
        self, head: RequestHead, opening: bytes, prefix: bytes, closing: bytes, commas: int
    ) -> None:
        self.model = head.model
        self.version = head.version
        self.opening = opening
        self.prefix = prefix
        self.closing = closing
        self.commas = commas
        self.calls: list[Call] = []
        self.numbers: list[bytes] = []

    def body(self, numbers: bytes) -> bytes:
        """The body of a request with these numbers."""
        return b"%b%b%b" % (self.prefix, numbers, self.closing)


class Alike:
    """Calls that run as one request of many rows.

    Attributes:
        lane: Where they met.
        calls: One row each.
        numbers: Their numbers, as text.
    """

    __slots__ = ("calls", "lane", "numbers")

    def __init__(self, lane: Lane, calls: list[Call], numbers: list[bytes]) -> None:
        self.lane = lane
        self.calls = calls
        self.numbers = numbers

    def parts(self, size: int) -> Iterator[Alike]:
        """The same in parts of at most so many calls."""
        for first in range(0, len(self.calls), size):
            last = first + size
            yield Alike(self.lane, self.calls[first:last], self.numbers[first:last])

    def bodies(self) -> Iterator[tuple[Call, bytes]]:
        """Each call with its body, as it came."""
        for call, numbers in zip(self.calls, self.numbers, strict=True):
            yield call, self.lane.body(numbers)

    def by(self, keys: Sequence[Key]) -> dict[Key, Alike]:
        """The same in parts of calls with the same key, one key for each call."""
        parts: dict[Key, Alike] = {}
        for key, call, numbers in zip(keys, self.calls, self.numbers, strict=True):
            if key not in parts:
                parts[key] = Alike(self.lane, [], [])
            parts[key].calls.append(call)
            parts[key].numbers.append(numbers)
        return parts


class Pattern:
    """What the bytes before a request's first number say.

    Attributes:
        head: The request's head.
        lane: Where it goes.
        closing: As in `Lane`.
        commas: As in `Lane`.
        total: Bytes of the request.
    """

    __slots__ = ("closing", "commas", "head", "lane", "total")

    def __init__(self, head: RequestHead, lane: Lane, total: int) -> None:
        self.head = head
        self.lane = lane
        self.closing = lane.closing
        self.commas = lane.commas
        self.total = total


class Service(Protocol):
    """Who serves what has gathered; `penstock.server.http.together.Together`."""

    def frame(self, head: RequestHead, opening: bytes) -> Frame | None:
        """The known JSON around a request's numbers, by the bytes before them."""
        ...

    def serve(self, alike: Alike) -> None:
        """Begin calls that differ in their numbers only."""
        ...

    def dispatch(self) -> None:
        """Run what was begun now: the iteration of the loop has brought all it had."""
        ...


class Lanes:
    """All lanes of a process.

    Args:
        loop: Whose iterations are meant.
        service: Serves what has gathered.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, service: Service) -> None:
        self._loop = loop
        self._service = service
        self._patterns: dict[bytes, Pattern] = {}
        self._lanes: dict[tuple[str, str | None, bytes, bytes], Lane] = {}
        self._busy: list[Lane] = []

    def match(self, data: bytes) -> tuple[Pattern, bytes] | None:
        """The pattern of exactly one request, and its numbers; ``None`` for everything else."""
        start = data.find(b"[", data.find(KEY, 0, MAX_OPENING_BYTES)) + 1
        pattern = self._patterns.get(data[:start])
        if (
            pattern is None
            or len(data) != pattern.total
            or not data.endswith(pattern.closing)
            or (numbers := data[start : -len(pattern.closing)]).count(b",") != pattern.commas
        ):
            return None
        return pattern, numbers

    def join(self, lane: Lane, call: Call, numbers: bytes) -> None:
        """Let the call wait in the lane for the end of this iteration of the loop."""
        if not lane.calls:
            if not self._busy:
                self._loop.call_soon(self._flush)
            self._busy.append(lane)
        lane.calls.append(call)
        lane.numbers.append(numbers)

    def learn(self, head: RequestHead, data: bytes, body_start: int) -> None:
        """Remember the pattern of a request that was served the ordinary way, if it has one.

        Args:
            head: Its head, one of the known.
            data: All its bytes.
            body_start: Where its body begins.
        """
        if head.codec is not JSON or head.timeout_seconds is not None or head.content_encoding:
            return
        if head.json_length is not None or not head.keep_alive:
            return
        key = data.find(KEY, body_start, MAX_OPENING_BYTES) + len(KEY)
        start = data.find(b"[", key) + 1
        opening = data[body_start:key]
        frame = self._service.frame(head, opening)
        if frame is None or frame.rows != 1 or not frame.spec.code or not start:
            return
        closing = b"]" + frame.closing
        if not data.endswith(closing) or b"[" in data[start:]:
            return
        if len(self._patterns) >= MAX_PATTERNS:
            self._patterns.clear()
            self._lanes.clear()
        prefix = data[body_start:start]
        key_of_lane = head.model, head.version, prefix, closing
        lane = self._lanes.get(key_of_lane)
        if lane is None:
            lane = self._lanes[key_of_lane] = Lane(head, opening, prefix, closing, frame.size - 1)
        self._patterns[data[:start]] = Pattern(head, lane, len(data))

    def _flush(self) -> None:
        """Serve what has gathered in this iteration of the loop."""
        busy, self._busy = self._busy, []
        for lane in busy:
            calls, lane.calls = lane.calls, []
            numbers, lane.numbers = lane.numbers, []
            self._service.serve(Alike(lane, calls, numbers))
        self._service.dispatch()


def calls_of(batch: Batch) -> tuple[list[Call], list[int]]:
    """All calls in a run, and the row in which each begins."""
    calls: list[Call] = []
    firsts: list[int] = []
    for request, first in zip(batch.requests, batch.offsets, strict=False):
        context = request.context
        if type(context) is Alike:
            calls += context.calls
            firsts += range(first, first + request.rows)
        else:
            calls.append(context)
            firsts.append(first)
    return calls, firsts
