"""One life of a runner: started, talked to, watched, and ended."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, Self

from penstock.monitoring.distribution import python_command
from penstock.server.processes.exits import describe_exit
from penstock.server.processes.frames import BadFrame, pack_frame, read_frame
from penstock.server.processes.process_watch import resident_bytes, waited_seconds

from .limits import LOAD_SECONDS, Death, leaks, run_limit, stuck

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from asyncio.subprocess import Process
    from collections.abc import Awaitable, Callable, Coroutine

    from penstock.server.shadow_copies.envelope import Envelope

    from .messages import Order

WATCH_SECONDS: Final = 0.5
_END_SECONDS: Final = 1.0


class RunnerRefused(Exception):
    """The candidate cannot be loaded, or must not be."""


class RunnerEnded(Exception):
    """The runner is gone, or had to go.

    Attributes:
        death: Why.
    """

    def __init__(self, death: Death) -> None:
        super().__init__(death.detail)
        self.death = death


class RunnerProcess:
    """A running runner. Use as an async context manager; at the end it is killed.

    Args:
        order: What it shall do.
        clock: Monotonic seconds.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        order: Order,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._order = order
        self._clock = clock
        self._sleep = sleep
        self._process: Process
        self._reader: StreamReader
        self._writer: StreamWriter
        self._watch: asyncio.Task[None]
        self._limit: float | None = LOAD_SECONDS
        self._answers = 0
        self._loaded_bytes = 0
        self._death: Death | None = None

    async def __aenter__(self) -> Self:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                *python_command(
                    "-m",
                    "penstock.server.shadow.runner",
                    str(theirs.fileno()),
                    str(os.getpid()),
                ),
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )
        self._reader, self._writer = await asyncio.open_unix_connection(sock=ours)
        self._writer.write(pack_frame("order", **asdict(self._order)))
        self._watch = asyncio.create_task(self._look_after())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._watch.cancel()
        self._kill()
        self._writer.transport.abort()
        # At its priority even dying takes long on a busy machine; nothing depends on it.
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), _END_SECONDS)

    async def loaded(self) -> None:
        """Wait until it is ready.

        Raises:
            RunnerRefused: It will never be.
            RunnerEnded: It is gone.
        """
        message = await self._read()
        if message["kind"] == "refused":
            raise RunnerRefused(message["reason"])
        self._loaded_bytes = resident_bytes(self._process.pid)

    async def idle(self, wait: Coroutine[Any, Any, Any]) -> None:
        """Wait for work.

        Raises:
            RunnerEnded: It is gone meanwhile.
        """
        working = asyncio.create_task(wait)
        ending = asyncio.create_task(self._process.wait())
        try:
            await asyncio.wait({working, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise RunnerEnded(await self._cause())
        finally:
            working.cancel()
            ending.cancel()

    async def begin(self, envelope: Envelope) -> None:
        """Give it work.

        Raises:
            RunnerEnded: It is gone.
        """
        self._limit = run_limit(envelope.seconds)
        self._writer.write(pack_frame("batches", content=envelope.content))
        try:
            await self._writer.drain()
        except ConnectionError:
            raise RunnerEnded(await self._cause()) from None

    async def report(self, primary_seconds: float) -> dict[str, Any]:
        """What it says of the next batch.

        Raises:
            RunnerEnded: It is gone.
        """
        self._limit = run_limit(primary_seconds)
        found: dict[str, Any] = (await self._read())["report"]
        return found

    async def _read(self) -> dict[str, Any]:
        try:
            message = await read_frame(self._reader)
        except BadFrame as error:
            self._death = Death("crash", f"its runner speaks another language: {error!r}")
            self._kill()
            raise RunnerEnded(await self._cause()) from None
        if message is None:
            raise RunnerEnded(await self._cause())
        self._answers += 1
        self._limit = None
        return message

    async def _cause(self) -> Death:
        """Why it is gone; waits for the end."""
        code = await self._process.wait()
        if self._death is not None:
            return self._death
        return Death("crash", f"its runner {describe_exit(code)}")

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()

    async def _look_after(self) -> None:
        """Kill it when it hangs or takes too much memory."""
        pid = self._process.pid
        answers, since, waited = -1, 0.0, 0.0
        while True:
            await self._sleep(WATCH_SECONDS)
            resident = resident_bytes(pid)
            if self._loaded_bytes and leaks(resident, self._loaded_bytes):
                self._death = Death("memory", f"it grew to {resident >> 20} MiB")
                self._kill()
                return
            limit, now = self._limit, self._clock()
            if limit is None or answers != self._answers:
                answers, since, waited = self._answers, now, waited_seconds(pid)
            elif stuck(now - since, waited_seconds(pid) - waited, limit):
                self._death = Death("hang", f"it gave no answer within {limit:.0f} s")
                self._kill()
                return
