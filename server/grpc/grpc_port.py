"""The gRPC port of one worker, on the worker's event loop."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import grpc

from penstock.server.oip.schema import INFER, STREAM

from .admission import Admission
from .call_head import INFER_TARGET
from .predictions import Predictions
from .queries import NO_SHARED_MEMORY, Queries, refuse_shared_memory
from .service_port import ServicePort

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.monitoring.metrics.merge import Merged
    from penstock.server.config.config import ServerConfig
    from penstock.server.http.prediction_port import PredictionPort
    from penstock.server.inference.call import Call
    from penstock.server.serving.catalog import Catalog

ACCESS: Final = logging.getLogger("uvicorn.access")

#: A stop waits for silence for so many times as long as the silence has to last.
_MOST_QUIET: Final = 8


class GrpcPort:
    """Serves predictions and questions about the models of a worker.

    Args:
        port: The inference path, and the checks before it.
        catalog: The served models.
        config: Configuration of the server; a message of a caller, also after it is decompressed,
            is no larger than its ``max_body_bytes``.
        figures: Reads the counters of all processes, on a thread.
    """

    def __init__(
        self,
        port: PredictionPort,
        catalog: Catalog,
        config: ServerConfig,
        figures: Callable[[], Merged],
    ) -> None:
        self._quiet_seconds = port.limits.drain_grace_seconds
        self._clock = port.clock
        self._admission = Admission(port.clock)
        predictions = Predictions(port, self._admission, _log_access if config.access_log else None)
        queries = Queries(catalog, port.guard, self._admission, figures, config.log_level)
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            **queries.handlers(),
            # Their messages are read and written by the codec.
            INFER: grpc.unary_unary_rpc_method_handler(predictions.infer),
            STREAM: grpc.stream_stream_rpc_method_handler(predictions.stream),
        }
        for name in NO_SHARED_MEMORY:
            handlers[name] = grpc.unary_unary_rpc_method_handler(refuse_shared_memory)

        def announce(method: str) -> None:
            if method == INFER_TARGET:
                predictions.announce()

        def is_ready() -> bool:
            return not catalog.why_not_ready()

        self._service = ServicePort(handlers, is_ready, config.max_body_bytes, announce)

    async def open(self, address: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Listen and serve; see `ServicePort.open`."""
        return await self._service.open(address, credentials)

    def refresh(self) -> None:
        """Tell the health service whether the worker is ready."""
        self._service.refresh()

    async def close(self, grace_seconds: float) -> None:
        """Take no more calls, finish those in progress, and stop.

        Args:
            grace_seconds: After which they are given up.
        """
        began = self._clock()
        await self._service.retire()
        most_seconds = min(_MOST_QUIET * self._quiet_seconds, grace_seconds / 2)
        await self._admission.close(self._quiet_seconds, most_seconds, grace_seconds)
        await self._service.end(max(0.0, grace_seconds - (self._clock() - began)))


def _log_access(call: Call, status: int, peer: str) -> None:
    head = call.head
    line = head.method, head.target, head.http_version
    ACCESS.info('%s - "%s %s HTTP/%s" %d', peer, *line, status)
