"""gRPC beside the admin port: the repository extension, with the same commands and tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from penstock.server.auth.tokens import CHALLENGE, OBSERVE, OPERATE
from penstock.server.errors import InvalidRequest, Unauthorized
from penstock.server.grpc.handling import handler_of
from penstock.server.grpc.service_port import ServicePort, address_of
from penstock.server.oip.schema import message

from .api.repository_api import asked_version

if TYPE_CHECKING:
    import socket

    from grpc.aio import ServicerContext

    from penstock.server.control.api.app import AdminApp

#: A command is a name and a few parameters.
MAX_MESSAGE_BYTES: Final = 64 * 1024
#: The calls of a stopping control process may take so long.
_GRACE_SECONDS: Final = 1.0


class RepositoryPort:
    """Serves ``RepositoryIndex``, ``RepositoryModelLoad`` and ``RepositoryModelUnload``.

    Args:
        app: The admin port, which does the same over HTTP.
    """

    def __init__(self, app: AdminApp) -> None:
        self._app = app
        methods = {
            "ServerLive": self._live,
            "ServerReady": self._ready,
            "RepositoryIndex": self._index,
            "RepositoryModelLoad": self._load,
            "RepositoryModelUnload": self._unload,
        }
        handlers = {name: handler_of(name, answer) for name, answer in methods.items()}
        self._service = ServicePort(handlers, lambda: not app.why_not_ready(), MAX_MESSAGE_BYTES)

    async def open(self, reserved: socket.socket) -> None:
        """Listen on the address of a socket that keeps it."""
        await self._service.open(address_of(reserved))

    def refresh(self) -> None:
        """Tell the health service whether the server is ready."""
        self._service.refresh()

    async def close(self) -> None:
        """Finish the calls in progress, and stop."""
        await self._service.retire()
        await self._service.close(_GRACE_SECONDS)

    def _live(self, _: Any, __: Any) -> Any:
        return message("ServerLiveResponse")(live=True)

    def _ready(self, _: Any, __: Any) -> Any:
        return message("ServerReadyResponse")(ready=not self._app.why_not_ready())

    def _index(self, request: Any, context: ServicerContext[Any, Any]) -> Any:
        self._actor(context, OBSERVE)
        models = self._app.index(ready=request.ready)
        return message("RepositoryIndexResponse")(models=models)

    async def _load(self, request: Any, context: ServicerContext[Any, Any]) -> Any:
        actor = self._actor(context, OPERATE)
        await self._app.repository.load(request.model_name, _version_of(request), actor)
        return message("RepositoryModelLoadResponse")()

    async def _unload(self, request: Any, context: ServicerContext[Any, Any]) -> Any:
        actor = self._actor(context, OPERATE)
        await self._app.repository.unload(request.model_name, _version_of(request), actor)
        return message("RepositoryModelUnloadResponse")()

    def _actor(self, context: ServicerContext[Any, Any], scope: str) -> str:
        """Name of the token of a call, which covers this."""
        given: Any = context.invocation_metadata()
        tokens = [value for name, value in given or () if name == "authorization"]
        if len(tokens) > 1:  # a proxy may choose the other one
            raise Unauthorized("metadata authorization is given twice", headers=CHALLENGE)
        return self._app.access.check_header(tokens[0] if tokens else None, scope)


def _version_of(request: Any) -> int | None:
    """The version that a load or unload names, if it does."""
    if not request.model_name:
        raise InvalidRequest("model_name is empty, expected the name of a model")
    parameters = {
        name: None if (kind := one.WhichOneof("parameter_choice")) is None else getattr(one, kind)
        for name, one in request.parameters.items()
    }
    return asked_version({"parameters": parameters}, {})
