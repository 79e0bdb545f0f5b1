"""Coalescing: requests that differ in their numbers only are read and run together.

For a model that runs for microseconds, the work that Python does for each request is most of the
cost. Requests of one iteration of the event loop that are equal in all bytes but their numbers
gather in a `CoalescingGroup`. At the end of the iteration their numbers are joined and parsed once,
packed once, and run as one request of many rows. Where a tensor travels as raw bytes, these take
the place of the numbers.

Nothing is taken on trust: `request_templates` says what is known and why that is sound. All other
requests are served one by one, in the plain way: requests with odd numbers, requests whose form the
version has not answered before, and all requests of a group whose run failed. So an error reaches
only the request that caused it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

from penstock.server.codecs.negotiate import JSON
from penstock.server.inference.call import Call
from penstock.server.inference.coalesced_calls import CoalescedCalls

from . import text_template
from .linger import Linger
from .request_templates import RequestTemplates

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable
    from collections.abc import Set as AbstractSet

    from penstock.server.codecs.messages import InferRequest
    from penstock.server.codecs.signature import WireSignature
    from penstock.server.inference.call import ResponseWriter

    from .group import CoalescingGroup
    from .head_cache import HeadCache

#: Larger bodies arrive in several pieces, and copying them costs more than parsing them.
MAX_BODY_BYTES: Final = 64 * 1024

NOBODY: Final[AbstractSet[int]] = frozenset()


class Runner(Protocol):
    """Serves groups of calls; implemented by `GroupRunner`."""

    def serve(self, gathered: list[CoalescedCalls[CoalescingGroup]]) -> None:
        """Serve the groups of one iteration of the event loop.

        Never raises: each call gets an answer or an error.
        """
        ...


class Coalescer:
    """Collects requests in groups by their bytes, and has each group served.

    Attributes:
        templates: The known request templates.

    Args:
        loop: The event loop; a group collects the requests of one iteration.
        heads: The known request heads.
        runner: Serves the groups.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        heads: HeadCache,
        runner: Runner,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.templates = RequestTemplates(heads)
        self._latest = self.templates.latest
        self._loop = loop
        self._runner = runner
        self._clock = clock
        self._linger = Linger()
        self._busy: list[CoalescingGroup] = []

    def try_take(self, writer: ResponseWriter, data: bytes, now: float) -> Call | None:
        """Put a request into its group, which is served at the end of this iteration of the loop.

        Args:
            writer: Writes the answer.
            data: All received bytes.
            now: The time of their arrival.

        Returns:
            The call; ``None`` if the bytes are not exactly one request of a known template.
        """
        template = self._latest.get(len(data))  # mostly right: no search
        if (
            template is None
            or not data.startswith(template.opening)
            or not data.endswith(template.closing)
        ):
            template = self.templates.find(data)
            if template is None:
                return None
        call, numbers = Call(writer, template.head, now), data[template.start : template.end]
        group = template.group
        calls = group.calls
        if not calls:
            if not self._busy:
                self._loop.call_soon(self.flush)
            self._busy.append(group)
        calls.append(call)
        group.numbers.append(numbers)
        return call

    def read(self, call: Call, body: bytes, wire: WireSignature) -> InferRequest | None:
        """Decode a body by its template, and keep bodies from which a template may be learnt.

        Args:
            call: The call; gets its `Call.body`.
            body: Its body, decompressed.
            wire: The signature of the version that is to serve it.

        Returns:
            ``None`` if the decoder has to read the body.
        """
        if len(body) > MAX_BODY_BYTES:
            return None
        head = call.head
        repeatable = wire.batch_axis and isinstance(head.lines, bytes)
        message = None
        if head.codec is JSON and head.json_length is None:
            message = text_template.read(body, wire)
            if message is None or (repeatable and message.rows == 1):
                call.body = body
        elif repeatable:
            call.body = body
        return message

    def forget(self) -> None:
        """Forget all known requests, so that every head is parsed again."""
        self.templates.forget()

    def learn(self, answered: Iterable[tuple[Call, object]]) -> None:
        """Learn templates from requests that were answered with 200.

        Never raises, because the requests themselves are answered.

        Args:
            answered: The calls, with their answers. `Call.body` of each is cleared.
        """
        try:
            for call, _ in answered:
                body = call.body
                if body is not None:
                    call.body = None
                    if call.servable is not None:
                        self.templates.learn(call.head, bytes(body), call.servable.wire)
        except Exception as error:  # noqa: BLE001  see above
            self._report("learning a template", error)

    def flush(self) -> None:
        """Serve the groups, or wait once more for clients that are expected.

        Called at the end of an iteration of the loop, and before the next run is chosen.
        """
        if not self._busy:
            return
        inline = all([group.inline for group in self._busy])  # noqa: C419  half the cost
        present = NOBODY
        try:
            if inline and self._linger.wanted:
                present = {id(call.writer) for group in self._busy for call in group.calls}
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
