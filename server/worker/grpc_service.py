"""gRPC in a worker: opened with its models loaded, drained beside the connections of HTTP."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from penstock.monitoring.metrics.merge import merge
from penstock.server.grpc.grpc_port import GrpcPort
from penstock.server.grpc.service_port import address_of
from penstock.server.grpc.tls import following

if TYPE_CHECKING:
    from penstock.server.http.engine import Engine
    from penstock.server.processes.process_context import ProcessContext

    from .certificate import Certificate


class GrpcService:
    """The gRPC port of a worker.

    Args:
        context: Context from the supervisor; the second socket keeps the address.
        engine: Serves the predictions.
        stopping: Is set when the worker is told to stop.
        certificate: Certificate of the prediction port; ``None`` without TLS.

    Attributes:
        open: Whether clients can connect.
    """

    def __init__(
        self,
        context: ProcessContext,
        engine: Engine,
        stopping: asyncio.Event,
        certificate: Certificate | None,
    ) -> None:
        self.open = False
        config = context.config
        self._reserved = context.sockets[1]
        self._drain_seconds = config.drain_seconds
        self._stopping = stopping
        self._certificate = certificate
        self._port = GrpcPort(
            engine.port,
            engine.catalog,
            config,
            partial(merge, context.directory.counters),
        )
        self._drained: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen on the address that the supervisor keeps, and drain when the worker stops.

        Raises:
            RuntimeError: The address cannot be listened on.
        """
        certificate = self._certificate
        credentials = None if certificate is None else following(lambda: certificate.pair)
        await self._port.open(address_of(self._reserved), credentials)
        self.open = True
        self._drained = asyncio.get_running_loop().create_task(self._drain())

    def refresh(self) -> None:
        """Tell the health service whether the worker is ready."""
        self._port.refresh()

    async def close(self) -> None:
        """Wait until the accepted calls are answered."""
        if self._drained is not None:
            await self._drained

    async def _drain(self) -> None:
        await self._stopping.wait()
        await self._port.close(self._drain_seconds)
