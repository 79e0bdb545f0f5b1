"""The shadow process: candidates compute copies of the traffic, and nobody waits for them.

It comes last on every processor, and loads nothing itself: each candidate has a runner, a process
of its own that may hang or crash, and that runs only when nobody else wants to. What has to be run
it reads from the target on disk; what came of it is in its counters and in the record of the
rollout. Without a rollout it does nothing, and takes no numpy to do so.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from penstock.monitoring.metrics.metrics import CounterFile
from penstock.server.processes.private_socket import listen_privately
from penstock.server.processes.process_context import ProcessContext, run
from penstock.server.processes.supervised_task import SupervisedTask
from penstock.server.shadow_copies.envelope import BadEnvelope, read_envelope, read_hello
from penstock.server.target.target_file import TargetFile

from .messages import Order
from .record import LOADING, TRIPPED, Record, read_record, write_record
from .shadow_run import NO_MORE, ShadowRun
from .wanted import decode_wanted

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import Awaitable, Callable, Mapping

    from .wanted import Wanted

LOG = logging.getLogger("penstock.shadow")

#: Niceness of this process, and of a runner while it loads; a runner then takes idle time only.
NICENESS: Final = 19
#: Between two looks at the target, with something to run and without; and between two writings of
#: the records, in looks.
CHECK_SECONDS: Final = 0.25
IDLE_SECONDS: Final = 1.0
_LOOKS_PER_SAVE: Final = 8
#: Seconds for reading what ended workers have left in their sockets.
LAST_SECONDS: Final = 2.0
#: Bytes that one connection reads ahead.
_BUFFER_BYTES: Final = 1 << 20
#: Runs that have ended, kept to count the copies that still arrive for them.
_ENDED_RUNS: Final = 16


@dataclass(slots=True)
class Flight:
    """A shadow run, and the task that works on it."""

    wanted: Wanted
    shadow_run: ShadowRun
    task: SupervisedTask


class ShadowProcess:
    """Follows the target, and brings workers and shadow runs together.

    Args:
        context: Context from the supervisor.
        counters: Counters of this process.
        sleep: Waits so many seconds.
        now: Unix seconds.
    """

    def __init__(
        self,
        context: ProcessContext,
        counters: CounterFile,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], float] = time.time,
    ) -> None:
        assert context.config.state_dir is not None
        self._directory = context.directory
        self._state_dir = context.config.state_dir
        self._counters = counters
        self._incidents = context.incidents
        self._incidents.on_count = counters.set_errors
        self._sleep = sleep
        self._now = now
        self._seen: Mapping[str, Wanted] = {}
        self._target = TargetFile(self._directory.target, decode_wanted, self._seen)
        self._looking = asyncio.Lock()
        self._flights: dict[str, Flight] = {}
        self._ended: dict[str, ShadowRun] = {}
        self._connections: set[asyncio.Task[None]] = set()
        self.stopping = asyncio.Event()

    async def run(self) -> None:
        """Work until `stopping` is set."""
        path = self._directory.shadow_socket
        server = await listen_privately(self._serve, path, limit=_BUFFER_BYTES)
        looks = 0
        while not self.stopping.is_set():
            await self._look()
            looks += 1
            await self._save(everything=looks % _LOOKS_PER_SAVE == 0)
            with suppress(TimeoutError):
                pause = CHECK_SECONDS if self._flights else IDLE_SECONDS
                await asyncio.wait_for(self.stopping.wait(), pause)
        await self._follow({})
        if self._connections:
            _, late = await asyncio.wait(self._connections, timeout=LAST_SECONDS)
            for one in late:
                one.cancel()
        server.close()
        await self._save(everything=True)

    async def _look(self) -> None:
        """Follow the target if it has changed."""
        async with self._looking:
            wanted = self._target.current()
            if wanted is not self._seen and not self.stopping.is_set():
                self._seen = wanted
                await self._follow(wanted)

    async def _follow(self, wanted: Mapping[str, Wanted]) -> None:
        """Have the wanted candidates run, and end all other runs."""
        for rollout, flight in list(self._flights.items()):
            now = wanted.get(rollout)
            if now is None or now.essence != flight.wanted.essence:
                del self._flights[rollout]
                await self._land(rollout, flight)
        for rollout, one in wanted.items():
            if rollout not in self._flights:
                self._flights[rollout] = self._launch(one)

    def _launch(self, wanted: Wanted) -> Flight:
        record = read_record(self._state_dir, wanted.rollout)
        if record is None:
            record = Record(wanted.rollout, wanted.model, wanted.primary, wanted.candidate)
        record.primary = wanted.primary
        if record.phase != TRIPPED:
            record.phase = LOADING
        order = Order(str(self._directory.config), wanted.target)
        shadow_run = ShadowRun(
            order, record, self._counters.model(wanted.model, str(wanted.candidate))
        )
        self._ended.pop(wanted.rollout, None)
        name = f"comparing for rollout {wanted.rollout}"
        task = SupervisedTask(name, shadow_run.run, self._incidents, may_end=True)
        return Flight(wanted, shadow_run, task)

    async def _land(self, rollout: str, flight: Flight) -> None:
        await flight.task.stop()
        await self._write(flight.shadow_run)
        self._ended[rollout] = flight.shadow_run
        while len(self._ended) > _ENDED_RUNS:
            self._ended.pop(next(iter(self._ended)))

    async def _save(self, *, everything: bool) -> None:
        for shadow_run in [
            *(one.shadow_run for one in self._flights.values()),
            *self._ended.values(),
        ]:
            if shadow_run.urgent or (shadow_run.changed and everything):
                await self._write(shadow_run)

    async def _write(self, shadow_run: ShadowRun) -> None:
        shadow_run.changed = shadow_run.urgent = False
        record = shadow_run.record
        record.updated = self._now()
        content = json.dumps(record.to_json()).encode()
        await asyncio.to_thread(write_record, self._state_dir, record, content)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Receive the copies of one worker for one rollout."""
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        shadow_run = None
        try:
            shadow_run = await self._find(await read_hello(reader))
            if shadow_run is None:
                return
            shadow_run.writers.add(writer)
            if shadow_run.refuses:
                writer.write(NO_MORE)
            while True:
                await shadow_run.take(await read_envelope(reader))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the worker is gone, or has no more to send
        except BadEnvelope as error:
            LOG.warning("a worker speaks another language: %s", error)
        finally:
            self._connections.discard(task)
            if shadow_run is not None:
                shadow_run.writers.discard(writer)
            with suppress(OSError):
                writer.close()

    async def _find(self, rollout: str) -> ShadowRun | None:
        if rollout not in self._flights:
            await self._look()  # the target is on disk before any worker has it
        flight = self._flights.get(rollout)
        return flight.shadow_run if flight is not None else self._ended.get(rollout)


async def shadow(context: ProcessContext) -> None:
    """Compare until told to stop."""
    os.nice(NICENESS)
    counters = CounterFile.create(context.directory.counters, context.name)
    process = ShadowProcess(context, counters)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, process.stopping.set)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))
    context.watch_parent(process.stopping.set)
    await process.run()
    counters.close()


if __name__ == "__main__":
    run(shadow)
