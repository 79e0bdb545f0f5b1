"""The gRPC server of one worker, on the worker's event loop."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from penstock.server.oip.schema import SERVICE, SERVICE_FILE, STREAM, message

from .admission import Admission
from .call_head import TARGET
from .predictions import Predictions
from .queries import NO_SHARED_MEMORY, Queries, refuse_shared_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.monitoring.metrics.merge import Merged
    from penstock.server.config.config import ServerConfig
    from penstock.server.http.prediction_port import PredictionPort
    from penstock.server.inference.call import Call
    from penstock.server.serving.catalog import Catalog

ACCESS: Final = logging.getLogger("uvicorn.access")

#: Calls that one connection may have in progress.
MAX_STREAMS: Final = 4096
#: A stop waits for silence for so many times as long as the silence has to last.
_MOST_QUIET: Final = 8
#: A client may ask this often whether a silent connection still works.
_PING_MILLISECONDS: Final = 5_000
_READY: Final = {
    True: health_pb2.HealthCheckResponse.SERVING,
    False: health_pb2.HealthCheckResponse.NOT_SERVING,
}
#: The health of the server, and that of its service.
_HEALTH_NAMES: Final = ("", SERVICE)


class GrpcPort:
    """Serves the Open Inference Protocol, health and reflection.

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
        self._catalog = catalog
        self._ready: bool | None = None
        self._health = health.aio.HealthServicer()
        self._telling: set[asyncio.Task[None]] = set()
        self._server = aio.server(
            options=[
                ("grpc.max_receive_message_length", config.max_body_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_concurrent_streams", MAX_STREAMS),
                ("grpc.so_reuseport", 1),
                ("grpc.http2.min_recv_ping_interval_without_data_ms", _PING_MILLISECONDS),
                ("grpc.keepalive_permit_without_calls", 1),
            ]
        )
        self._quiet_seconds = port.limits.drain_grace_seconds
        self._clock = port.clock
        self._admission = Admission(port.clock)
        predictions = Predictions(port, self._admission, _log_access if config.access_log else None)
        queries = Queries(catalog, port.guard, self._admission, figures, config.log_level)
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            name: grpc.unary_unary_rpc_method_handler(
                queries.answering(name),
                message(f"{name}Request").FromString,
                message(f"{name}Response").SerializeToString,
            )
            for name in queries.methods()
        }
        for name in NO_SHARED_MEMORY:
            handlers[name] = grpc.unary_unary_rpc_method_handler(refuse_shared_memory)
        # Their messages are read and written by the codec.
        handlers["ModelInfer"] = grpc.unary_unary_rpc_method_handler(predictions.infer)
        handlers[STREAM] = grpc.stream_stream_rpc_method_handler(predictions.stream)
        self._server.add_generic_rpc_handlers((_Service(handlers, predictions.announce),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server, _described())

    async def open(self, address: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Listen and serve; returns the port.

        Args:
            address: Host and port, joined by a colon.
            credentials: The certificate; without one nothing is encrypted.

        Raises:
            RuntimeError: The address cannot be listened on.
        """
        if credentials is None:
            port = self._server.add_insecure_port(address)
        else:
            port = self._server.add_secure_port(address, credentials)
        await self._server.start()
        self.refresh()
        return port

    def refresh(self) -> None:
        """Tell the health service whether the worker is ready, if that has changed."""
        ready = not self._catalog.why_not_ready()
        if ready is self._ready:
            return
        self._ready = ready
        telling = asyncio.get_running_loop().create_task(self._tell(ready=ready))
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)

    async def _tell(self, *, ready: bool) -> None:
        for name in _HEALTH_NAMES:
            await self._health.set(name, _READY[ready])

    async def close(self, grace_seconds: float) -> None:
        """Take no more calls, finish those in progress, and stop.

        Args:
            grace_seconds: After which they are given up.
        """
        began = self._clock()
        await self._health.enter_graceful_shutdown()
        most_seconds = min(_MOST_QUIET * self._quiet_seconds, grace_seconds / 2)
        await self._admission.close(self._quiet_seconds, most_seconds)
        await self._server.stop(max(0.0, grace_seconds - (self._clock() - began)))


class _Service(grpc.GenericRpcHandler):
    """The methods of the service.

    Args:
        handlers: By name.
        announce: Called with each call of ``ModelInfer`` before its message is read.
    """

    def __init__(
        self, handlers: dict[str, grpc.RpcMethodHandler[Any, Any]], announce: Callable[[], object]
    ) -> None:
        self._handlers = {f"/{SERVICE}/{name}": one for name, one in handlers.items()}
        self._announce = announce

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Called by gRPC with the head of each call."""
        method = handler_call_details.method
        if method == TARGET:
            self._announce()
        return self._handlers.get(method)


def _described() -> DescriptorPool:
    """Descriptors of all services of the port, for reflection."""
    pool = DescriptorPool()
    for descriptor in (SERVICE_FILE, health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR):
        file = FileDescriptorProto()
        descriptor.CopyToProto(file)
        pool.Add(file)
    return pool


def _log_access(call: Call, status: int, peer: str) -> None:
    head = call.head
    line = head.method, head.target, head.http_version
    ACCESS.info('%s - "%s %s HTTP/%s" %d', peer, *line, status)
