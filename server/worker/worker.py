"""A worker process: the data plane on the shared listening socket.

It takes its target from the disk first and from control later, and accepts connections when its
models are loaded, so that a worker that comes back answers nobody with "not loaded yet". Where no
other worker serves, it accepts anyway after `LOAD_TIMEOUT_SECONDS`: probes want an answer even
while large models load, and a client gets 503 with ``retry-after``.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import time
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

import uvicorn

from penstock.monitoring.metrics.merge import merge
from penstock.monitoring.metrics.metrics import CounterFile
from penstock.monitoring.samples.spool import Spool
from penstock.server.http.app import App
from penstock.server.http.fastpath import FastPathProtocol
from penstock.server.inference.shadow_senders import ShadowSenders
from penstock.server.processes.deaths import DeathList
from penstock.server.processes.http_server import HttpServer
from penstock.server.processes.process_context import ProcessContext, run
from penstock.server.processes.restart import EXIT_CONFIG
from penstock.server.processes.supervised_task import SupervisedTask
from penstock.server.target.target import Target

from .certificate import Certificate
from .feedback_client import FeedbackClient
from .held_back import first_target
from .link import Link
from .other_workers import another_worker_serves
from .rate_limited_signal import RateLimitedSignal
from .reconciler import Reconciler
from .report import version_report
from .sampler import Sampler

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from starlette.types import Message, Receive, Scope, Send

    from .grpc_service import GrpcService

LOG = logging.getLogger("penstock.worker")

LOAD_TIMEOUT_SECONDS: Final = 5.0
#: Between two looks whether another worker still serves.
_LOOK_SECONDS: Final = 1.0


class WorkerProcess:
    """Wires the app to the server, the link and the reconciler. An ASGI app around the app.

    Args:
        context: Context from the supervisor.
        wall_clock: Unix seconds.
    """

    def __init__(
        self, context: ProcessContext, wall_clock: Callable[[], float] = time.time
    ) -> None:
        self._wall_clock = wall_clock
        config = context.config
        self._context = context
        self._certificate: Certificate | None = None
        self._counters = CounterFile.create(context.directory.counters, context.name)
        hello = {
            "process": context.name,
            "incarnation": self._counters.incarnation,
            "pid": os.getpid(),
        }
        self._link = Link(context.directory.control_socket, hello, self._aim)
        context.incidents.on_count = self._counters.set_errors
        self._app = App(
            config,
            self._counters,
            self._link.metrics,
            partial(merge, context.directory.counters),
            incidents=context.incidents,
            pulse=context.pulse,
            deaths=DeathList(context.directory.isolated_deaths(context.name)),
        )
        self._server = HttpServer(
            uvicorn.Config(
                self,
                http=FastPathProtocol,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=config.access_log,
                server_header=False,
                timeout_keep_alive=int(config.keep_alive_seconds),
                timeout_graceful_shutdown=config.drain_seconds,  # type: ignore[arg-type]  # given to wait_for
                ssl_context_factory=self._ssl_context if config.ssl_certfile else None,
            ),
            self._every_second,
        )
        self._reconciler: Reconciler | None = None
        self._first = Target()
        self._reported = -1, 0, 0
        self._tasks: list[SupervisedTask] = []
        self._sampler: Sampler | None = None
        self._feedback: FeedbackClient | None = None
        self._shadow_senders: ShadowSenders | None = None
        self._grpc: GrpcService | None = None

    async def run(self) -> None:
        """Serve until told to stop."""
        try:
            self._server.config.load()
        except OSError as error:  # ssl.SSLError is one
            LOG.error("the certificate or its key cannot be used: %s", error)  # noqa: TRY400
            raise SystemExit(EXIT_CONFIG) from None
        self._context.watch_parent(self._server.stop)
        await self._server.serve(sockets=[self._context.sockets[0]])
        self._counters.close()

    def _ssl_context(self, *_: object) -> ssl.SSLContext:
        """Called by uvicorn, once."""
        config = self._context.config
        assert config.ssl_certfile is not None
        place = self._context.directory.pulses
        certificate = Certificate(config.ssl_certfile, config.ssl_keyfile, place)
        certificate.open()
        certificate.serve(certificate.context)
        self._certificate = certificate
        return certificate.context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI; adds to the lifespan what an app alone does not have."""
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_when_loaded(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                await self._begin()
            await send(message)

        async def receive_after_link() -> Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self._end()
            return message

        await self._app(scope, receive_after_link, send_when_loaded)

    async def _begin(self) -> None:
        incidents = self._context.incidents
        self._app.engine.expect_loads()
        self._reconciler = Reconciler(self._app.engine.host, self._report, incidents)
        path = self._context.directory.shadow_socket
        self._shadow_senders = ShadowSenders(path, self._counters, asyncio.get_running_loop())
        self._app.engine.inference.shadow_senders = self._shadow_senders.routes
        signal = RateLimitedSignal(asyncio.get_running_loop(), self._link.request_check)
        self._app.engine.inference.splitter.on_failure = signal
        self._first = first_target(self._context.directory, self._wall_clock())
        if self._first.number:
            self._aim(self._first)
        if self._app.engine.samples.enabled:
            directory, incarnation = self._context.directory, self._counters.incarnation
            spool = Spool(directory.samples, incarnation, self._context.config.sample_max_bytes)
            self._sampler = Sampler(self._app.engine.samples, spool, self._counters)
            self._feedback = FeedbackClient(directory.monitor_socket)
            self._app.feedback.hand_over = self._feedback.hand_over
        self._tasks = [
            SupervisedTask("the link to control", self._link.run, incidents),
            SupervisedTask("the reconciler", self._reconciler.run, incidents),
        ]
        if self._context.sockets[1:]:
            from .grpc_service import GrpcService  # it needs an extra

            stopping, certificate = self._server.stopping, self._certificate
            self._grpc = GrpcService(self._context, self._app.engine, stopping, certificate)
        await self._wait_for_models(self._reconciler.settled)
        if self._grpc is not None:
            await self._grpc.start()
            self._report()
        _calm_the_collector()

    async def _wait_for_models(self, settled: asyncio.Event) -> None:
        """Wait until the first target is dealt with, for a while only unless another serves."""
        waits = {asyncio.create_task(event.wait()) for event in (settled, self._server.stopping)}
        timeout = LOAD_TIMEOUT_SECONDS
        directory, name = self._context.directory, self._context.name
        while True:
            done, pending = await asyncio.wait(
                waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
            )
            if done or not another_worker_serves(directory, name):
                break
            timeout = _LOOK_SECONDS
        for wait in pending:
            wait.cancel()

    async def _end(self) -> None:
        """Stop what `_begin` started; an error in one step does not keep the others from it."""
        async with AsyncExitStack() as steps:
            for task in self._tasks:
                steps.push_async_callback(task.stop)
            if self._sampler is not None:
                steps.callback(self._sampler.close)
            if self._feedback is not None:
                steps.push_async_callback(self._feedback.close)
            if self._shadow_senders is not None:
                steps.callback(self._shadow_senders.close)
            if self._grpc is not None:
                steps.push_async_callback(self._grpc.close)

    def _aim(self, target: Target) -> None:
        assert self._reconciler is not None
        assert self._shadow_senders is not None
        if target.number == self._first.number:
            target = self._first  # a control that has just started sends what it finds on the disk
        self._reconciler.aim(target)
        self._shadow_senders.follow(target.models)

    def _report(self) -> None:
        reconciler, engine = self._reconciler, self._app.engine
        assert reconciler is not None
        incidents = self._context.incidents
        ready = engine.catalog.ready and (self._grpc is None or self._grpc.open)
        if ready:
            self._context.pulse.serve()
        self._reported = self._reportable()
        self._link.report(
            target=reconciler.applied,
            steered=reconciler.steered,
            ready=ready,
            models=version_report(engine.catalog, engine.host.directories, engine.host.configs),
            problem=reconciler.problem,
            incidents=incidents.report(),
        )

    def _reportable(self) -> tuple[int, int, int]:
        """Numbers that grow with what a report says."""
        engine = self._app.engine
        changes = engine.isolated_deaths.changes
        return engine.catalog.revision, self._context.incidents.total, changes

    def _every_second(self, late_nanoseconds: int) -> None:
        if self._certificate is not None:
            self._certificate.refresh()
        self._counters.set_loop_lag(late_nanoseconds)
        self._counters.set_connections(len(self._server.server_state.connections))
        if self._reconciler is None:
            return
        if self._grpc is not None:
            self._grpc.refresh()
        if self._reported != self._reportable():
            self._report()
        self._link.flush()
        if (tracing := self._app.engine.tracing) is not None:
            self._app.engine.inference.responder.observers.aside(tracing.flush)


def _calm_the_collector() -> None:
    """Look for garbage a hundred times less often: what is loaded stays, requests make no cycles.

    The default threshold starts a collection for every dozen requests, 3 % of all work.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


async def worker(context: ProcessContext) -> None:
    """Serve predictions until told to stop."""
    await WorkerProcess(context).run()


if __name__ == "__main__":
    run(worker)
