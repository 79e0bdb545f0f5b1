"""One rollout in the shadow process: its queue, its runner, and what is counted of it.

    connections ─► take ─► queue (bounded: no room, no reading) ─► runner, one envelope at a time

Each request that arrived is counted once: compared, failed at, or dropped.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.metrics import layout
from penstock.server.processes.restart import after_death

from .limits import HardFailure, verdict
from .record import ENDED, LOADING, RUNNING, TRIPPED, Record
from .runner_process import RunnerEnded, RunnerProcess, RunnerRefused

if TYPE_CHECKING:
    from asyncio import StreamWriter
    from collections.abc import Awaitable, Callable

    from penstock.monitoring.metrics.model_counters import ModelCounters
    from penstock.server.isolation.limits import Death
    from penstock.server.shadow_copies.envelope import Envelope

    from .messages import Order

LOG = logging.getLogger("penstock.shadow")

#: Most envelopes that wait for the runner.
MAX_QUEUED: Final = 2
#: The byte that tells a worker to send no more.
NO_MORE: Final = b"-"


class ShadowRun:
    """Runs one candidate beside its primary.

    Args:
        order: The order for the runner.
        record: The record to go on from.
        counters: Counters of the candidate.
        now: Unix seconds.
        clock: Monotonic seconds.
        sleep: Waits so many seconds.

    Attributes:
        record: The record that is to be written to the disk.
        writers: Connections of the workers.
        changed: Whether the record has changed since it was written.
        urgent: Whether the changed record must be written at the next look.
    """

    def __init__(
        self,
        order: Order,
        record: Record,
        counters: ModelCounters,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.record = record
        self.writers: set[StreamWriter] = set()
        self.changed = self.urgent = True
        self._order = order
        self._counters = counters
        self._now = now
        self._clock = clock
        self._sleep = sleep
        self._queue: deque[Envelope] = deque()
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._started_at = self._answered_at = 0.0

    @property
    def refuses(self) -> bool:
        """True if the candidate is not run any more."""
        return self.record.phase in {TRIPPED, ENDED}

    async def take(self, envelope: Envelope) -> None:
        """Queue an envelope when there is room; drop it if the candidate is not run any more."""
        while len(self._queue) >= MAX_QUEUED and not self.refuses:
            self._room.clear()
            await self._room.wait()
        if self.refuses:
            self._drop(envelope, 0)
        else:
            self._queue.append(envelope)
            self._arrived.set()

    async def run(self) -> None:
        """Keep a runner busy until the run trips or is cancelled; after an error, call it again."""
        over = True
        try:
            while not self.refuses:
                self._enter(LOADING)
                self._started_at = self._answered_at = self._clock()
                try:
                    await self._live()
                except RunnerRefused as refusal:
                    self._record_failure(HardFailure("load", str(refusal), self._now()))
                except RunnerEnded as end:
                    await self._bury(end.death)
        except Exception:
            over = False
            raise
        finally:
            if over:
                if self.record.phase != TRIPPED:
                    self._enter(ENDED)
                self._refuse()

    async def _live(self) -> None:
        """Start a runner, and give it envelopes until it ends."""
        async with RunnerProcess(self._order, self._clock) as runner:
            await runner.loaded()
            self._enter(RUNNING)
            LOG.info("%s runs in the shadow", self._name)
            while True:
                while not self._queue:
                    self._arrived.clear()
                    await runner.idle(self._arrived)
                envelope = self._queue.popleft()
                self._room.set()
                await self._run(runner, envelope)

    async def _run(self, runner: RunnerProcess, envelope: Envelope) -> None:
        done = 0
        try:
            await runner.begin(envelope)
            for sizes in envelope.sizes:
                report = await runner.report(envelope.seconds)
                done += 1
                self._answered_at = self._clock()
                self._count(sizes, report)
        except RunnerEnded as end:
            self._fail(envelope.sizes[done], f"{end.death.reason}: {end.death.detail}")
            done += 1
            raise
        finally:
            self._drop(envelope, done)

    async def _bury(self, death: Death) -> None:
        record = self.record
        # Its last answer ended its healthy life: time spent hanging is none.
        restart = after_death(record.failures, self._started_at, self._answered_at)
        record.failures = restart.failures
        record.tally.die(f"{death.reason}: {death.detail}", self._now())
        hard_failure = verdict(death, record.failures, len(record.tally.deaths), self._now())
        if hard_failure is not None:
            self._record_failure(hard_failure)
            return
        LOG.warning("%s in the shadow: %s; starting it again", self._name, death.detail)
        self.changed = True
        await self._sleep(restart.at - self._answered_at)

    @property
    def _name(self) -> str:
        return f"model {self.record.model} version {self.record.candidate}"

    def _enter(self, phase: str) -> None:
        self.record.phase = phase
        self.changed = self.urgent = True

    def _record_failure(self, hard_failure: HardFailure) -> None:
        LOG.error("%s is not run in the shadow any more: %s", self._name, hard_failure.detail)
        self.record.hard_failure = hard_failure
        self._enter(TRIPPED)
        self._refuse()

    def _refuse(self) -> None:
        """Drop the waiting envelopes, and tell the workers to send no more."""
        while self._queue:
            self._drop(self._queue.popleft(), 0)
        self._room.set()
        for writer in self.writers:
            writer.write(NO_MORE)

    # -- counting --------------------------------------------------------------------------------

    def _count(self, sizes: tuple[int, int], report: dict[str, Any]) -> None:
        if "error" in report:
            self._fail(sizes, report["error"])
            return
        add = self._counters.add
        add(layout.PAIRS, sizes[0])
        add(layout.DISAGREEMENTS, report["requests"]["differing"])
        add(layout.SHADOW_INVALID, report["requests"]["invalid"])
        if report["cpu"] is not None:
            candidate, primary, _, _ = report["cpu"]
            add(layout.SHADOW_CPU_NANOSECONDS, candidate)
            add(layout.PRIMARY_CPU_NANOSECONDS, primary)
        self.record.tally.add(sizes, report)
        self.changed = True

    def _fail(self, sizes: tuple[int, int], text: str) -> None:
        for slot in (layout.PAIRS, layout.DISAGREEMENTS, layout.SHADOW_ERRORS):
            self._counters.add(slot, sizes[0])
        self.record.tally.fail(sizes, text, self._now())
        self.changed = True

    def _drop(self, envelope: Envelope, first: int) -> None:
        """Count the batches from `first` on as not run."""
        for sizes in envelope.sizes[first:]:
            self._counters.add(layout.SHADOW_DROPPED, sizes[0])
            self._counters.add(layout.SHADOW_DROPPED_ROWS, sizes[1])
            self.record.tally.drop(sizes)
            self.changed = True
