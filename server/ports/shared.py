"""Answers that are made once and shared by all who ask: metrics of a second, a description."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from penstock.server.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

T = TypeVar("T")

#: A scrape may be answered with what was rendered for another one in so many seconds before ...
KEPT_SECONDS: Final = 1.0
#: ... and is as soon as rendering has taken more than this part of the time.
RENDERING_SHARE: Final = 0.1
#: Seconds of such time that may be saved up.
_MAX_CREDIT_SECONDS: Final = 0.25

#: Requests that wait for one answer; beyond that they are told to come back.
MAX_WAITING: Final = 256
#: Kinds of an answer that are kept, such as formats.
MAX_KINDS: Final = 8


class SharedAnswers(Generic[T]):
    """Makes an answer of each kind once at a time and keeps it for a while.

    A caller that asks for a kind while its answer is being made waits for that answer. A caller
    that goes away changes nothing for the others: an answer is made once, however many ask for it.

    Args:
        make: Makes the answer of a kind.
        kept_seconds: Seconds after its making for which an answer is given again.
        share: Part of the time that may be spent on newer answers before that is over.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        make: Callable[[Hashable], Awaitable[T]],
        kept_seconds: float = math.inf,
        share: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make = make
        self._kept_seconds = kept_seconds
        self._share = share
        self._clock = clock
        self._credit_seconds = 0.0
        self._credited_at = clock()
        self._made: dict[Hashable, tuple[float, T]] = {}
        self._making: dict[Hashable, asyncio.Task[T]] = {}
        self._waiting = 0

    async def get(self, kind: Hashable = None) -> T:
        """The answer of a kind; at most `kept_seconds` old when it is given.

        Raises:
            Unavailable: Too many wait for one.
        """
        made = self._made.get(kind)
        if made is not None and not self._is_due(made[0]):
            return made[1]
        if self._waiting >= MAX_WAITING:
            raise Unavailable("too many ask for this at once", retry_after_seconds=1)
        task = self._making.get(kind)
        if task is None or task.get_loop() is not asyncio.get_running_loop():
            task = self._making[kind] = asyncio.create_task(self._renew(kind))
            # Where all who asked are gone, nobody takes the error.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._waiting += 1
        try:
            return await asyncio.shield(task)
        finally:
            self._waiting -= 1

    def _is_due(self, made_at: float) -> bool:
        """Whether an answer is made anew: it is too old, or that may be afforded."""
        now = self._clock()
        credit = self._credit_seconds + (now - self._credited_at) * self._share
        self._credit_seconds = min(credit, _MAX_CREDIT_SECONDS)
        self._credited_at = now
        return now - made_at > self._kept_seconds or self._credit_seconds > 0

    async def _renew(self, kind: Hashable) -> T:
        began = self._clock()
        try:
            answer = await self._make(kind)
            self._credit_seconds -= self._clock() - began
        finally:
            self._making.pop(kind, None)
        while len(self._made) >= MAX_KINDS:
            del self._made[next(iter(self._made))]
        self._made.pop(kind, None)
        self._made[kind] = (self._clock(), answer)
        return answer
