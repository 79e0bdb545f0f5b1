"""A port with the service of the Open Inference Protocol, the health service and reflection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from penstock.server.oip.schema import SERVICE, SERVICE_FILE

from .disconnect import disconnect

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

#: Calls that one connection may have in progress.
MAX_STREAMS: Final = 4096
#: A client may ask this often whether a silent connection still works.
_PING_MILLISECONDS: Final = 5_000
_READY: Final = {
    True: health_pb2.HealthCheckResponse.SERVING,
    False: health_pb2.HealthCheckResponse.NOT_SERVING,
}
#: The health of the server, and that of its service.
_HEALTH_NAMES: Final = ("", SERVICE)


class ServicePort:
    """Serves methods of the service.

    Args:
        handlers: The methods by name; others are unimplemented.
        is_ready: Whether the health service says so.
        max_message_bytes: Of a message of a caller, also after it is decompressed.
        announce: Called with the name of the method of each call, before its message is read.
    """

    def __init__(
        self,
        handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]],
        is_ready: Callable[[], bool],
        max_message_bytes: int,
        announce: Callable[[str], object] = str,
    ) -> None:
        self._is_ready = is_ready
        self._ready: bool | None = None
        self._port: int | None = None
        self._health = health.aio.HealthServicer()
        self._telling: set[asyncio.Task[None]] = set()
        self._server = aio.server(
            options=[
                ("grpc.max_receive_message_length", max_message_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_concurrent_streams", MAX_STREAMS),
                ("grpc.so_reuseport", 1),
                ("grpc.http2.min_recv_ping_interval_without_data_ms", _PING_MILLISECONDS),
                ("grpc.keepalive_permit_without_calls", 1),
            ]
        )
        self._server.add_generic_rpc_handlers((_Service(handlers, announce),))
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
        self._port = port
        return port

    def refresh(self) -> None:
        """Tell the health service whether the server is ready, if that has changed."""
        ready = self._is_ready()
        if ready is self._ready:
            return
        self._ready = ready
        telling = asyncio.get_running_loop().create_task(self._tell(ready=ready))
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)

    async def _tell(self, *, ready: bool) -> None:
        for name in _HEALTH_NAMES:
            await self._health.set(name, _READY[ready])

    async def retire(self) -> None:
        """Say that the server is not healthy any more, whatever comes."""
        await self._health.enter_graceful_shutdown()

    async def end(self, grace_seconds: float) -> None:
        """End all connections, and stop.

        Args:
            grace_seconds: For calls whose callers do not close their ends.
        """
        if self._port is not None:
            disconnect(self._port)
        await self._server.stop(grace_seconds)

    async def close(self, grace_seconds: float) -> None:
        """Finish the calls in progress, and stop.

        Args:
            grace_seconds: After which they are given up.
        """
        await self._server.stop(grace_seconds)


class _Service(grpc.GenericRpcHandler):
    """The methods of the service; see `ServicePort`."""

    def __init__(
        self,
        handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]],
        announce: Callable[[str], object],
    ) -> None:
        self._handlers = {f"/{SERVICE}/{name}": one for name, one in handlers.items()}
        self._announce = announce

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Called by gRPC with the head of each call."""
        method = handler_call_details.method
        self._announce(method)
        return self._handlers.get(method)


def address_of(reserved: socket.socket) -> str:
    """The address of a socket that keeps a port, as `ServicePort.open` takes it."""
    host, port = reserved.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _described() -> DescriptorPool:
    """Descriptors of all services of the port, for reflection."""
    pool = DescriptorPool()
    for descriptor in (SERVICE_FILE, health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR):
        file = FileDescriptorProto()
        descriptor.CopyToProto(file)
        pool.Add(file)
    return pool
