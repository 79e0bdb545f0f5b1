"""The ASGI app: every route, for any ASGI server, for tests, and for mounting in another app."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, cast

import orjson
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from penstock.monitoring.metrics.scrape_format import scrape_format
from penstock.server.errors import (
    ApiError,
    InvalidRequest,
    NotFound,
)
from penstock.server.errors.incidents import Incidents
from penstock.server.inference.head import REQUEST_ID
from penstock.server.inference.prediction_paths import match_infer
from penstock.server.inference.request_ids import RequestIds
from penstock.server.page.scripted import scripted_page
from penstock.server.ports.bodies import read_body
from penstock.server.ports.border import BY_PREFIX
from penstock.server.ports.cors import with_cors
from penstock.server.ports.media_types import JSON, check_media_type
from penstock.server.ports.paths import routed_at
from penstock.server.ports.shared import SharedAnswers
from penstock.server.serving import metadata

from .asgi_writer import infer
from .engine_lifespan import EngineLifespan
from .error_responses import ERROR_HANDLERS, error_response
from .feedback import FeedbackRoute
from .openapi import openapi, served
from .triton_routes import TritonRoutes
from .v1_routes import V1Routes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping

    from starlette.requests import Request
    from starlette.types import Message, Receive, Scope, Send

    from penstock.monitoring.metrics.merge import Merged
    from penstock.monitoring.metrics.metrics import CounterFile
    from penstock.server.config.config import ServerConfig
    from penstock.server.processes.deaths import DeathList
    from penstock.server.processes.pulse import Pulse

    from .engine import Engine

    #: A function from an Accept header to the server's metrics: content type and body.
    MetricsSource = Callable[[str], Awaitable[tuple[bytes, bytes]]]

#: Largest body of the only other route with a body, see `App._index`.
_MAX_BODY_BYTES: Final = 64 * 1024


class App:
    """The ASGI app with all routes of one `Engine`.

    The prediction route is raw ASGI; everything else goes through Starlette. The engine is made at
    lifespan start, on the loop that will serve, and put into the lifespan state, where the fast
    path finds it; see `EngineLifespan` for apps whose lifespan nobody runs.

    Args:
        config: Configuration of the server.
        counters: Counters of this process.
        metrics: Source of ``/metrics``.
        figures: Reads the counters of all processes, on a thread.
        autoload: Serve the whole registry from the start, for a server that is one process.
        incidents: Gets the errors that have no caller.
        pulse: Holds the loads and runs in progress.
        deaths: Lists the deaths of the processes of isolated versions.

    Attributes:
        feedback: Takes labels.
    """

    def __init__(
        self,
        config: ServerConfig,
        counters: CounterFile,
        metrics: MetricsSource,
        figures: Callable[[], Merged],
        *,
        autoload: bool = False,
        incidents: Incidents | None = None,
        pulse: Pulse | None = None,
        deaths: DeathList | None = None,
    ) -> None:
        self._engine_lifespan = EngineLifespan(
            config, counters, incidents or Incidents(), pulse, deaths, autoload=autoload
        )
        self._metrics = SharedAnswers(self._scrape, 0.0)  # control caches the rendered text
        self._scraped = metrics
        self._documents = SharedAnswers(self._describe)
        self._ids = RequestIds()
        self.feedback = FeedbackRoute()
        self._triton = TritonRoutes(lambda: self.engine.catalog, figures, config.log_level)
        self._routed = Starlette(
            routes=self._routes(),
            lifespan=self._lifespan,
            exception_handlers=ERROR_HANDLERS,
        )
        self._shared = with_cors(self._serve, config.origins())

    @property
    def engine(self) -> Engine:
        """The engine; there is none before the lifespan, or the first request, has begun."""
        return self._engine_lifespan.engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        if scope["type"] != "http":
            await self._routed(scope, receive, send)
        else:
            await self._shared(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        port = (await self._engine_lifespan.running()).port
        border = port.border
        path = ""
        refusal: ApiError | None = None
        try:
            path = border.path(scope)
        except InvalidRequest as error:
            refusal = error
        target = match_infer(path) if scope["method"] == "POST" else None
        if target is not None:
            await infer(port, target, scope, receive, send)
            return
        send = self._with_request_id(scope, send)
        headers = scope["headers"]
        # A caller without permission is told that first; an unknown path is open to no caller.
        if (elsewhere := border.refusal(scope)) is not None:
            refusal = elsewhere
        elif (guard := port.guard) is not None:
            refusal = guard.refusal(path, headers) or refusal
        if refusal is not None:
            await error_response(refusal)(scope, receive, send)
        else:
            answer = border.without_slash(scope, path) or self._routed
            await answer(routed_at(scope, path), receive, send)

    def _with_request_id(self, scope: Scope, send: Send) -> Send:
        given = dict(scope["headers"]).get(b"x-request-id", b"")
        request_id = given if REQUEST_ID.fullmatch(given) else self._ids.new()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), (b"x-request-id", request_id)]
                message = {**message, "headers": headers}
            await send(message)

        return send_with_id

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[Mapping[str, Any]]:  # noqa: ARG002
        await self._engine_lifespan.start()
        yield {"port": self.engine.port, "engine": self.engine}
        await self._engine_lifespan.close()

    def _routes(self) -> list[Route]:
        model = "/v2/models/{model}"
        version = model + "/versions/{version}"
        return [
            Route("/", self._home),
            Route("/docs", _docs),  # not async: rendered on a thread
            Route("/openapi.json", self._openapi),
            Route("/metrics", self._exposition),
            Route("/v1/feedback", self.feedback.answer, methods=["POST"]),
            Route("/v2", _server),
            Route("/v2/health/live", self._live),
            Route("/v2/health/ready", self._ready),
            Route("/v2/models", self._models),
            Route("/v2/repository/index", self._index, methods=["POST"]),
            *self._triton.routes(),
            Route(model, self._model),
            Route(version, self._model),
            Route(model + "/ready", self._model_ready),
            Route(version + "/ready", self._model_ready),
            Route(model + "/infer", _predict, methods=["POST"]),
            Route(version + "/infer", _predict, methods=["POST"]),
            *V1Routes(lambda: self.engine.catalog).routes(),
        ]

    async def _home(self, request: Request) -> Response:
        if "text/html" not in request.headers.get("accept", "text/html"):  # a probe, no browser
            return _json({"status": "alive"})
        return self.engine.port.border.home(request.scope)

    async def _openapi(self, request: Request) -> Response:
        port, catalog = self.engine.port, self.engine.catalog
        if (name := request.query_params.get("model", "")) and name not in catalog.models:
            catalog.find(name)  # it says what is wrong
        kind = (id(self.engine), catalog.revision, port.guard is not None, name)
        before, after = await self._documents.get(kind)
        url = orjson.dumps(port.border.prefix(request.scope) or "/")
        return Response(before + url + after, headers=BY_PREFIX, media_type=JSON)

    async def _describe(self, kind: Hashable) -> tuple[bytes, bytes]:
        """The OpenAPI document as bytes, in two parts around the place of the server's URL."""
        *_, secured, name = cast("tuple[int, int, bool, str]", kind)
        models = [one for one in served(self.engine.catalog) if name in {"", one.name}]
        mark = f"penstock-{self._ids.new().decode()}"

        def build() -> tuple[bytes, bytes]:
            before, _, after = orjson.dumps(openapi(models, mark, secured=secured)).partition(
                b'"%b"' % mark.encode()
            )
            return before, after

        return await asyncio.to_thread(build)

    async def _exposition(self, request: Request) -> Response:
        kind = scrape_format(request.headers.get("accept", ""))
        content_type, body = await self._metrics.get(kind)
        return Response(body, headers={"content-type": content_type.decode()})

    async def _scrape(self, kind: Hashable) -> tuple[bytes, bytes]:
        return await self._scraped(str(kind))

    async def _live(self, _: Request) -> Response:
        return _json({"live": True})

    async def _ready(self, _: Request) -> Response:
        reason = self.engine.catalog.why_not_ready()
        if not reason:
            return _json({"ready": True})
        return _json({"ready": False, "reason": reason}, 503)

    async def _models(self, _: Request) -> Response:
        return _json(metadata.model_index(self.engine.catalog))

    async def _index(self, request: Request) -> Response:
        body = await read_body(request, _MAX_BODY_BYTES)
        if body:
            check_media_type(request.headers.get("content-type"), (JSON,), missing=True)
        try:
            ready = orjson.loads(body or b"{}").get("ready", False)
        except (ValueError, AttributeError):
            raise InvalidRequest("the body is not a JSON object") from None
        if type(ready) is not bool:
            raise InvalidRequest("'ready' must be true or false")
        return _json(metadata.repository_index(self.engine.catalog, ready=ready))

    async def _model(self, request: Request) -> Response:
        catalog = self.engine.catalog
        servable = catalog.find(request.path_params["model"], request.path_params.get("version"))
        versions = list(catalog.models[servable.name].versions)
        return _json(metadata.model_metadata(servable, versions))

    async def _model_ready(self, request: Request) -> Response:
        name, version = request.path_params["model"], request.path_params.get("version")
        try:
            self.engine.catalog.find(name, version)
        except ApiError as error:
            if not self.engine.catalog.knows(name, version):
                raise
            return _json({"name": name, "ready": False, "reason": error.message}, 503)
        return _json({"name": name, "ready": True})


async def _server(_: Request) -> Response:
    return _json(metadata.server_metadata())


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


def _docs(_: Request) -> Response:
    page = scripted_page("docs.html")
    return HTMLResponse(page.html, headers=page.headers)


async def _predict(request: Request) -> Response:
    """Refuse other methods than POST on prediction paths; predictions are served before."""
    raise NotFound(f"no route {request.url.path}; see /docs")
