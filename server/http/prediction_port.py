"""The objects that all connections of the prediction port share, on both front ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from penstock.server.inference.server_timing import TIMING_HEADER

from .custom_attributes import CUSTOM_ATTRIBUTES
from .response_head_cache import ResponseHeadCache

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.server.http.coalescing.coalescer import Coalescer
    from penstock.server.http.coalescing.head_cache import HeadCache
    from penstock.server.inference.head import RequestHead
    from penstock.server.inference.inference import InferencePath
    from penstock.server.ports.border import Border
    from penstock.server.ports.limits import Limits

    from .sweeper import Sweeper
    from .token_guard import TokenGuard


@dataclass(slots=True)
class PredictionPort:
    """The inference path, and the checks of a request before it.

    Attributes:
        inference: Serves predictions.
        limits: Limits of bodies and connections.
        sweeper: Enforces the time limits of connections.
        clock: Monotonic seconds, the scheduler's.
        border: Checks hosts, and knows the path under which the server is mounted.
        head_cache: The head cache; empty without request caching.
        coalescer: Reads and runs requests of one group together; ``None`` without request caching.
        guard: Checks tokens; ``None`` if no token is needed.
        asgi_headers: A prediction with one of these headers is left to the ASGI app.
        response_heads: Cached beginnings of answers.
    """

    inference: InferencePath
    limits: Limits
    sweeper: Sweeper
    clock: Callable[[], float]
    border: Border
    head_cache: HeadCache
    coalescer: Coalescer | None = None
    guard: TokenGuard | None = None
    asgi_headers: frozenset[bytes] = frozenset((TIMING_HEADER, CUSTOM_ATTRIBUTES))
    response_heads: ResponseHeadCache = field(default_factory=ResponseHeadCache)

    def check(self, head: RequestHead, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Check a parsed head, and set its `problem` if the request may not be served.

        Called once for each parsed head; a refused head is not cached.

        Args:
            head: The parsed head.
            headers: Names in lower case.
        """
        refusal = self.border.hosts.refusal(headers, head.http_version)
        if refusal is not None:
            head.problem = refusal
        elif self.guard is not None:
            self.guard.check_token(head)

    def forget(self) -> None:
        """Forget all requests, so that every head is parsed again."""
        self.head_cache.clear()
        if self.coalescer is not None:
            self.coalescer.forget()
