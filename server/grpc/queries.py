"""The methods of the service that are no predictions: health, metadata, repository."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.json_format import ParseDict
from grpc import StatusCode

from penstock.server.errors import ApiError, NotSupported
from penstock.server.oip.schema import message
from penstock.server.serving import metadata
from penstock.server.serving.configuration import model_configuration
from penstock.server.serving.settings import log_settings, trace_settings
from penstock.server.serving.statistics import model_statistics

from .call_head import lines_of
from .handling import handler_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from grpc import RpcMethodHandler
    from grpc.aio import ServicerContext

    from penstock.monitoring.metrics.merge import Merged
    from penstock.server.http.token_guard import TokenGuard
    from penstock.server.serving.catalog import Catalog

    from .admission import Admission

#: Method -> the path over HTTP that tells the same; it decides which token is needed.
_PATHS: Final = {
    "ServerLive": "/v2/health/live",
    "ServerReady": "/v2/health/ready",
}
_OTHER_PATH: Final = "/v2"
#: Methods that are refused by name.
NO_SHARED_MEMORY: Final = tuple(
    f"{kind}SharedMemory{verb}"
    for kind in ("System", "Cuda")
    for verb in ("Status", "Register", "Unregister")
)
_LOG_PARAMETERS: Final = {bool: "bool_param", int: "uint32_param", str: "string_param"}


class Queries:
    """Answers questions about one worker.

    Args:
        catalog: The served models.
        guard: Checks tokens; ``None`` if no token is needed.
        admission: Whether calls are taken.
        figures: Reads the counters of all processes, on a thread.
        log_level: Least severe messages in the log.
    """

    def __init__(
        self,
        catalog: Catalog,
        guard: TokenGuard | None,
        admission: Admission,
        figures: Callable[[], Merged],
        log_level: str,
    ) -> None:
        self._admission = admission
        self._figures = figures
        self._log_level = log_level
        self._catalog = catalog
        self._guard = guard

    def methods(self) -> dict[str, Callable[[Any], Any]]:
        """Each method by its name: from a message to its answer, or to what makes it."""
        return {
            "ServerLive": self._live,
            "ServerReady": self._ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server,
            "ModelMetadata": self._model,
            "ModelConfig": self._configuration,
            "ModelStatistics": self._statistics,
            "TraceSetting": self._trace,
            "LogSettings": self._log,
            "RepositoryIndex": self._index,
            "RepositoryModelLoad": _on_the_admin_port,
            "RepositoryModelUnload": _on_the_admin_port,
        }

    def handlers(self) -> dict[str, RpcMethodHandler[Any, Any]]:
        """The handlers of all methods, by name."""
        return {name: self._handler(name, answer) for name, answer in self.methods().items()}

    def _handler(self, name: str, answer: Callable[[Any], Any]) -> RpcMethodHandler[Any, Any]:
        path = _PATHS.get(name, _OTHER_PATH)

        def ask(request: Any, context: ServicerContext[Any, Any]) -> Any:
            self._admission.admit(context)
            self._check(path, context)
            return answer(request)

        return handler_of(name, ask)

    def _check(self, path: str, context: ServicerContext[Any, Any]) -> None:
        if self._guard is None:
            return
        given: Any = context.invocation_metadata()
        refusal = self._guard.refusal(path, lines_of(given or ()))
        if refusal is not None:
            raise refusal

    def _live(self, _: Any) -> Any:
        return message("ServerLiveResponse")(live=True)

    def _ready(self, _: Any) -> Any:
        return message("ServerReadyResponse")(ready=not self._catalog.why_not_ready())

    def _model_ready(self, request: Any) -> Any:
        """A model that nobody knows is not ready, as Triton answers it."""
        try:
            self._catalog.find(request.name, request.version or None)
        except ApiError:
            return message("ModelReadyResponse")(ready=False)
        return message("ModelReadyResponse")(ready=True)

    def _server(self, _: Any) -> Any:
        return message("ServerMetadataResponse")(**metadata.server_metadata())

    def _model(self, request: Any) -> Any:
        servable = self._catalog.find(request.name, request.version or None)
        versions = list(self._catalog.models[servable.name].versions)
        told = metadata.model_metadata(servable, versions)
        tensors = {
            side: [{key: one[key] for key in ("name", "datatype", "shape")} for one in told[side]]
            for side in ("inputs", "outputs")
        }
        kept = {key: told[key] for key in ("name", "versions", "platform")}
        return message("ModelMetadataResponse")(**kept, **tensors)

    def _configuration(self, request: Any) -> Any:
        servable = self._catalog.find(request.name, request.version or None)
        versions = self._catalog.models[servable.name].versions
        told = {"config": model_configuration(servable, versions)}
        return ParseDict(told, message("ModelConfigResponse")())

    async def _statistics(self, request: Any) -> Any:
        figures = await asyncio.to_thread(self._figures)
        name, version = request.name or None, request.version or None
        told = {"model_stats": model_statistics(self._catalog, figures, name, version)}
        answer = message("ModelStatisticsResponse")()
        return ParseDict(told, answer, ignore_unknown_fields=True)  # of what is always empty

    def _trace(self, request: Any) -> Any:
        if request.model_name:
            self._catalog.find(request.model_name)
        _check_unchanged(request, "trace settings")
        values = {
            name: {"value": [value] if isinstance(value, str) else value}
            for name, value in trace_settings().items()
        }
        return ParseDict({"settings": values}, message("TraceSettingResponse")())

    def _log(self, request: Any) -> Any:
        _check_unchanged(request, "log settings")
        values = {
            name: {_LOG_PARAMETERS[type(value)]: value}
            for name, value in log_settings(self._log_level).items()
        }
        return ParseDict({"settings": values}, message("LogSettingsResponse")())

    def _index(self, request: Any) -> Any:
        models = metadata.repository_index(self._catalog, ready=request.ready)
        return message("RepositoryIndexResponse")(models=models)


def _check_unchanged(request: Any, what: str) -> None:
    """Refuse a request that changes settings."""
    if request.settings:
        raise NotSupported(f"{what} are read only here; they are options of the server")


async def refuse_shared_memory(_: bytes, context: ServicerContext[bytes, bytes]) -> bytes:
    """Answer one of `NO_SHARED_MEMORY`."""
    text = "there is no shared memory; send and ask for tensors as raw contents"
    await context.abort(StatusCode.UNIMPLEMENTED, text)


def _on_the_admin_port(_: Any) -> Any:
    raise NotSupported("models are loaded and unloaded on the admin port, not here")
