"""Builds the data plane of one process: every object of the prediction path."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final

from penstock.batching.contained import contained, words
from penstock.batching.dispatcher import TICK_SECONDS
from penstock.batching.executor import ThreadExecutor
from penstock.batching.marks import LOOP
from penstock.batching.scheduler import INLINE_SECONDS, Scheduler
from penstock.monitoring.samples.sample_buffer import SampleBuffer
from penstock.server.config.cpus import available_cpus
from penstock.server.config.log_privacy import privacy_of
from penstock.server.errors.incidents import Incidents
from penstock.server.http.coalescing.coalescer import Coalescer
from penstock.server.http.coalescing.group_runner import GroupRunner
from penstock.server.http.coalescing.head_cache import HeadCache
from penstock.server.inference.inference import InferencePath
from penstock.server.inference.sampling import Sampling
from penstock.server.loading.loads import Loads
from penstock.server.ports.border import Border
from penstock.server.ports.cors import ORIGIN
from penstock.server.ports.limits import Limits
from penstock.server.processes.deaths import DeathList
from penstock.server.processes.pulse import Pulse
from penstock.server.processes.state_directory import TOKEN_FILE
from penstock.server.serving.catalog import Catalog
from penstock.server.serving.host import ModelHost
from penstock.server.serving.isolated_deaths import IsolatedDeaths
from penstock.server.serving.versions import Versions
from penstock.server.tracing.setup import open_tracing

from .prediction_port import PredictionPort
from .sweeper import Sweeper
from .token_guard import TokenGuard

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.batching.marks import RunMarks
    from penstock.monitoring.metrics.metrics import CounterFile
    from penstock.server.config.config import ServerConfig

LOG = logging.getLogger("penstock.engine")

#: Seconds that a stop waits for runs whose callers are gone.
LAST_SECONDS: Final = 0.5


class Engine:
    """The objects that serve predictions on one event loop; create it while the loop runs.

    Args:
        config: The server's configuration.
        counters: Counters of this process.
        incidents: Gets errors that have no caller.
        pulse: Holds the loads and runs in progress.
        deaths: Lists the deaths of the processes of isolated versions.

    Attributes:
        catalog: The served models.
        host: Loads and unloads versions.
        inference: The path of predictions.
        port: Objects that all connections of the prediction port share.
        samples: Inputs and outputs for the monitor.
        tracing: Traces predictions; ``None`` without a collector.
        isolated_deaths: Counts the deaths of the processes of isolated versions.
    """

    def __init__(
        self,
        config: ServerConfig,
        counters: CounterFile,
        incidents: Incidents | None = None,
        pulse: Pulse | None = None,
        deaths: DeathList | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        clock = time.perf_counter
        limits = Limits.of(config)
        self.counters = counters
        self.catalog = Catalog(default_model=config.default_model)
        self.samples = SampleBuffer(
            config.sample_max_rows, config.sample_max_bytes, config.sample_rate
        )
        pulse = pulse or Pulse.private(config.execution_threads())
        pulse.marks.register(LOOP)
        self._scheduler = _scheduler(config, loop, clock, pulse.marks)
        # One thread: orjson holds the interpreter lock for long stretches.
        self._decoder = ThreadPoolExecutor(1, "penstock-decode")
        self.isolated_deaths = isolated_deaths = IsolatedDeaths(loop, deaths or DeathList())
        self._loads = Loads(loop, config, pulse, isolated_deaths.note, isolated_deaths.forgive)
        self._sweeper = Sweeper(loop, clock, limits.sweep_seconds)
        self.inference = InferencePath(
            loop,
            self.catalog,
            self._scheduler,
            counters,
            Sampling(self.samples) if self.samples.enabled else None,
            self._decoder,
            limits,
            incidents or Incidents(),
            clock,
        )
        self.tracing = open_tracing(config, counters.directory, counters.process, clock)
        self.inference.responder.observers.tracer = self.tracing
        self.port = self._open_port(loop, config, limits, clock)
        privacy = partial(privacy_of, state_dir=config.state_dir)
        versions = Versions(
            loop,
            self.catalog,
            self._scheduler,
            counters,
            self.inference.sink,
            self._loads,
            privacy,
        )
        self.host = ModelHost(self.catalog, counters, versions)
        isolated_deaths.take_out = self.host.take_out

    def _open_port(
        self,
        loop: asyncio.AbstractEventLoop,
        config: ServerConfig,
        limits: Limits,
        clock: Callable[[], float],
    ) -> PredictionPort:
        port = PredictionPort(
            self.inference,
            limits,
            self._sweeper,
            clock,
            Border.of(config, config.host, config.routes()),
            HeadCache(enabled=config.request_caching),
        )
        if config.cors_origins:
            port.asgi_headers |= {ORIGIN}
        if config.request_caching:
            port.coalescer = self._coalescer(loop, port.head_cache, clock)
        if config.require_predict_token:
            admin = None if config.state_dir is None else config.state_dir / TOKEN_FILE
            port.guard = TokenGuard(loop, admin, config.tokens_file, port.forget)
        return port

    def _coalescer(
        self, loop: asyncio.AbstractEventLoop, heads: HeadCache, clock: Callable[[], float]
    ) -> Coalescer:
        """The coalescer of the prediction path."""
        path = self.inference
        runner = GroupRunner(self.catalog, self._scheduler, path, path.splitter, path.responder)
        coalescer = Coalescer(loop, heads, runner, clock)
        path.templates = coalescer
        path.responder.singly = runner.singly
        path.responder.learn = coalescer.learn
        self._scheduler.on_slot(coalescer.flush)
        return coalescer

    def expect_loads(self) -> None:
        """Prepare for versions that are going to be loaded."""
        self._loads.expect()

    async def close(self) -> None:
        """Finish the accepted requests, then release everything.

        A run or a load that does not end within `LAST_SECONDS` is left behind, so a stop is
        bounded.
        """
        try:
            await asyncio.wait_for(self._finish(), LAST_SECONDS)
        except TimeoutError:
            LOG.warning("a run has not ended; stopping without it")
        if self.tracing is not None:
            await asyncio.to_thread(self.tracing.close)
        self._release()

    async def _finish(self) -> None:
        await self._scheduler.close()
        for model in self.catalog.models.values():
            for servable in model.versions.values():
                await servable.wait_coded()

    def abandon(self) -> None:
        """Release everything after the event loop was closed; no caller waits any more."""
        self._scheduler.abandon()
        self._release()

    def _release(self) -> None:
        if self.port.guard is not None:
            self.port.guard.close()
        self._sweeper.close()
        self._decoder.shutdown(wait=False, cancel_futures=True)
        for model in self.catalog.models.values():
            for servable in model.versions.values():
                try:
                    contained(servable.model.unload)
                except Exception as error:  # noqa: BLE001  the others are to be unloaded, too
                    LOG.warning("model %s cannot be unloaded: %s", model.name, words(error))
        self._loads.close()


def _scheduler(
    config: ServerConfig,
    loop: asyncio.AbstractEventLoop,
    clock: Callable[[], float],
    marks: RunMarks,
) -> Scheduler:
    return Scheduler(
        loop,
        threads=config.execution_threads(),
        clock=clock,
        # On a single core a thread runs nothing sooner, it only costs two switches.
        inline_seconds=INLINE_SECONDS if available_cpus() > 1 else TICK_SECONDS,
        executor=partial(ThreadExecutor, marks=marks),
        marks=marks,
    )
