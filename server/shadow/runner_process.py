"""One life of a runner, for an event loop: a child that is asked from a thread."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from penstock.monitoring.files.decoding import ContentError, pack, unpack
from penstock.server.isolation.child_process import ChildEnded, ChildProcess
from penstock.server.isolation.limits import Death
from penstock.server.processes.process_watch import resident_bytes, waited_seconds

from .limits import LOAD_SECONDS, leaks, run_limit
from .messages import BATCHES, ORDER, REFUSED, REPORT

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.server.shadow_copies.envelope import Envelope

    from .messages import Order

T = TypeVar("T")

#: Between two looks at a runner without work.
WATCH_SECONDS: Final = 0.5
_TARGET: Final = "penstock.server.shadow.runner:serve"


class RunnerRefused(Exception):
    """The candidate cannot be loaded, or must not be."""


class RunnerEnded(Exception):
    """The runner is gone, or had to go.

    Attributes:
        death: Reason of its end.
    """

    def __init__(self, death: Death) -> None:
        super().__init__(death.detail)
        self.death = death


class RunnerProcess:
    """A running runner. Use as an async context manager; at the end it is killed.

    Args:
        order: Order of the runner.
        clock: Monotonic seconds.
    """

    def __init__(self, order: Order, clock: Callable[[], float]) -> None:
        self._order = order
        self._clock = clock
        self._loaded_bytes = 0
        self._child: ChildProcess
        self._executor = ThreadPoolExecutor(1, "penstock-runner")

    async def __aenter__(self) -> Self:
        # The kernel ends a child with the thread that made it: this one stays.
        self._child = ChildProcess(
            _TARGET, too_large=self._leaks, waited=waited_seconds, clock=self._clock
        )
        try:
            await self._call(self._child.send, ORDER, pack(self._order), LOAD_SECONDS)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        # At its priority even dying takes long on a busy machine; nothing waits for it.
        self._child.kill()
        self._executor.submit(self._child.close)
        self._executor.shutdown(wait=False)

    async def loaded(self) -> None:
        """Wait until it is ready.

        Raises:
            RunnerRefused: It will never be.
            RunnerEnded: The runner is gone.
        """
        kind, content = await self._call(self._child.receive, LOAD_SECONDS)
        if kind == REFUSED:
            raise RunnerRefused(content.decode(errors="replace"))
        self._loaded_bytes = resident_bytes(self._child.pid)

    async def idle(self, arrived: asyncio.Event) -> None:
        """Wait for work.

        Raises:
            RunnerEnded: It is gone meanwhile.
        """
        waiting = asyncio.create_task(arrived.wait())
        try:
            while not waiting.done():
                await asyncio.wait({waiting}, timeout=WATCH_SECONDS)
                await self._call(self._child.check)
        finally:
            waiting.cancel()

    async def begin(self, envelope: Envelope) -> None:
        """Give it work.

        Raises:
            RunnerEnded: It is gone.
        """
        limit = run_limit(envelope.seconds)
        await self._call(self._child.send, BATCHES, bytes(envelope.content), limit)

    async def report(self, primary_seconds: float) -> dict[str, Any]:
        """The report of the runner on the next batch.

        Raises:
            RunnerEnded: It is gone.
        """
        kind, content = await self._call(self._child.receive, run_limit(primary_seconds))
        try:
            if kind != REPORT:
                raise ContentError(f"a message of kind {kind}")
            return unpack(dict[str, Any], content, "a report")
        except ContentError as error:
            death = Death("crash", f"said what nobody understands: {error}")
            return await self._call(self._child.condemn, death)

    async def _call(self, work: Callable[..., T], *arguments: object) -> T:
        """Do something with the child on its thread."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._executor, work, *arguments)
        except ChildEnded as end:
            death = end.death
            who = "its runner" if death.reason == "crash" else "it"
            raise RunnerEnded(replace(death, detail=f"{who} {death.detail}")) from None

    def _leaks(self, resident: int) -> bool:
        return bool(self._loaded_bytes) and leaks(resident, self._loaded_bytes)
