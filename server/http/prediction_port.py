"""The objects that all connections of the prediction port share, on both front ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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
    """The inference path, and what a request has to pass before it.

    Attributes:
        inference: Serves predictions.
        limits: Limits of bodies and connections.
        sweeper: Enforces the time limits of connections.
        clock: Monotonic seconds, the scheduler's.
        border: Checks hosts, and knows the path under which the server is mounted.
        known_heads: Heads that need not be parsed again; empty where nothing is remembered.
        coalescer: Reads and runs like requests together; ``None`` where nothing is remembered.
        guard: Asks for tokens; ``None`` where none is needed.
        response_heads: Beginnings of answers.
    """

    inference: InferencePath
    limits: Limits
    sweeper: Sweeper
    clock: Callable[[], float]
    border: Border
    known_heads: HeadCache
    coalescer: Coalescer | None = None
    guard: TokenGuard | None = None
    response_heads: ResponseHeadCache = field(default_factory=ResponseHeadCache)

    def check(self, head: RequestHead, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Give a head that was just read a problem, if the request may not be served.

        Done once for each head: one that is refused is not remembered.

        Args:
            head: What the headers say.
            headers: Names in lower case.
        """
        refusal = self.border.hosts.refusal(headers, head.http_version)
        if refusal is not None:
            head.problem = refusal
        elif self.guard is not None:
            self.guard.check_token(head)

    def forget(self) -> None:
        """Remember no request: every head has to be parsed again."""
        self.known_heads.clear()
        if self.coalescer is not None:
            self.coalescer.forget()
