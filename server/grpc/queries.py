"""The methods of the service that are no predictions: health, metadata, repository."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from grpc import StatusCode

from penstock.server.errors import ApiError, NotSupported
from penstock.server.oip.schema import message
from penstock.server.serving import metadata

from .call_head import lines_of
from .status import code_of, error_metadata, shortened

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from grpc.aio import ServicerContext

    from penstock.server.http.token_guard import TokenGuard
    from penstock.server.serving.catalog import Catalog

    from .admission import Admission

LOG = logging.getLogger("penstock.grpc")

#: Method -> the path over HTTP that tells the same; it decides which token is needed.
_PATHS: Final = {
    "ServerLive": "/v2/health/live",
    "ServerReady": "/v2/health/ready",
}
_OTHER_PATH: Final = "/v2"


class Queries:
    """Answers questions about one worker.

    Args:
        catalog: The served models.
        guard: Checks tokens; ``None`` if no token is needed.
        admission: Whether calls are taken.
    """

    def __init__(self, catalog: Catalog, guard: TokenGuard | None, admission: Admission) -> None:
        self._admission = admission
        self._catalog = catalog
        self._guard = guard

    def methods(self) -> dict[str, Callable[[Any], Any]]:
        """Each method by its name: from a message to its answer."""
        return {
            "ServerLive": self._live,
            "ServerReady": self._ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server,
            "ModelMetadata": self._model,
            "RepositoryIndex": self._index,
            "RepositoryModelLoad": _on_the_admin_port,
            "RepositoryModelUnload": _on_the_admin_port,
        }

    def answering(self, name: str) -> Callable[..., Awaitable[Any]]:
        """The handler of a method.

        Args:
            name: One of `methods`.
        """
        path, answer = _PATHS.get(name, _OTHER_PATH), self.methods()[name]

        async def handle(request: Any, context: ServicerContext[Any, Any]) -> Any:
            try:
                self._admission.check()
                self._check(path, context)
                return answer(request)
            except ApiError as error:
                text = shortened(error.message)
                await context.abort(code_of(error.status), text, error_metadata(error))
            except Exception as error:
                LOG.exception("unexpected error in %s", name)
                text = f"internal error ({type(error).__name__}); see the server's log"
                await context.abort(StatusCode.INTERNAL, text)

        return handle

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

    def _index(self, request: Any) -> Any:
        models = metadata.repository_index(self._catalog, ready=request.ready)
        return message("RepositoryIndexResponse")(models=models)


def _on_the_admin_port(_: Any) -> Any:
    raise NotSupported("models are loaded and unloaded on the admin port, not here")
