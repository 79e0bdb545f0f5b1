"""The ASGI app: every route, for any ASGI server, for tests, and for mounting in another app."""

from __future__ import annotations

import logging
import os
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from penstock.server.engine import Engine
from penstock.server.errors import (
    ApiError,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
)
from penstock.server.incidents import Incidents
from penstock.server.page.scripted import page_headers
from penstock.server.registry.plan import aspire
from penstock.server.registry.state import DesiredState
from penstock.server.registry.survey import scan

from . import metadata
from .answers import error_answer
from .asgi_door import header_pairs, infer
from .docs_page import DOCS_PAGE
from .feedback import FeedbackRoute
from .head import REQUEST_ID, match_infer
from .openapi import openapi

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from starlette.requests import Request
    from starlette.types import Message, Receive, Scope, Send

    from penstock.monitoring.metrics import CounterFile
    from penstock.server.config import ServerConfig

    #: Makes the exposition of the whole server, content type and body, from an Accept header.
    MetricsSource = Callable[[str], Awaitable[tuple[bytes, bytes]]]

LOG = logging.getLogger("penstock.http")
_DOCS_HEADERS = page_headers(DOCS_PAGE)


class App:
    """The routes over one `Engine`, as an ASGI app.

    The prediction route is raw ASGI; everything else goes through Starlette. The engine is made at
    lifespan start, on the loop that will serve, and put into the lifespan state, where the fast
    path finds it.

    Args:
        config: Of the server.
        counters: Of this process.
        metrics: Source of ``/metrics``.
        autoload: Serve the whole registry from the start, for a server that is one process.
        incidents: Is told of errors that no caller is told of.

    Attributes:
        feedback: Takes labels.
    """

    def __init__(
        self,
        config: ServerConfig,
        counters: CounterFile,
        metrics: MetricsSource,
        *,
        autoload: bool = False,
        incidents: Incidents | None = None,
    ) -> None:
        self._config = config
        self._counters = counters
        self._metrics = metrics
        self._autoload = autoload
        self._incidents = incidents or Incidents()
        self._ids = count(int.from_bytes(os.urandom(8), "big") << 32)
        self.feedback = FeedbackRoute()
        self.engine: Engine
        self._routed = Starlette(
            routes=self._routes(),
            lifespan=self._lifespan,
            exception_handlers={
                ApiError: _api_error,
                HTTPException: _http_error,
                Exception: _bug,
            },
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http":
            target = match_infer(_raw_path(scope)) if scope["method"] == "POST" else None
            if target is not None:
                await infer(self.engine.inference, target, scope, receive, send)
                return
            send = self._with_request_id(scope, send)
            guard = self.engine.inference.guard
            refusal = None
            if guard is not None:
                refusal = guard.refusal(_raw_path(scope), scope["headers"])
            if refusal is not None:
                await _error_response(refusal)(scope, receive, send)
                return
        await self._routed(scope, receive, send)

    def _with_request_id(self, scope: Scope, send: Send) -> Send:
        given = dict(scope["headers"]).get(b"x-request-id", b"")
        request_id = given if REQUEST_ID.fullmatch(given) else b"%x" % next(self._ids)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), (b"x-request-id", request_id)]
                message = {**message, "headers": headers}
            await send(message)

        return send_with_id

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[Mapping[str, Any]]:  # noqa: ARG002
        self.engine = engine = Engine(self._config, self._counters, self._incidents)
        if self._autoload:
            snapshot = scan(self._config.registry, self._config.link_roots())
            for problem in snapshot.problems:
                LOG.warning("%s: %s", problem.path, problem.reason)
            await engine.host.apply(aspire(snapshot.models, DesiredState()))
        yield {"inference": engine.inference, "engine": engine}
        await engine.close()

    def _routes(self) -> list[Route]:
        model = "/v2/models/{model}"
        version = model + "/versions/{version}"
        return [
            Route("/", lambda _: RedirectResponse("docs")),
            Route("/docs", lambda _: HTMLResponse(DOCS_PAGE, headers=_DOCS_HEADERS)),
            Route("/openapi.json", self._openapi),
            Route("/metrics", self._exposition),
            Route("/v1/feedback", self.feedback.answer, methods=["POST"]),
            Route("/v2", self._server),
            Route("/v2/health/live", self._live),
            Route("/v2/health/ready", self._ready),
            Route("/v2/models", self._models),
            Route("/v2/repository/index", self._index, methods=["POST"]),
            Route(model, self._model),
            Route(version, self._model),
            Route(model + "/ready", self._model_ready),
            Route(version + "/ready", self._model_ready),
            Route(model + "/infer", _with_query, methods=["POST"]),
            Route(version + "/infer", _with_query, methods=["POST"]),
        ]

    async def _openapi(self, request: Request) -> Response:
        url = str(request.base_url).rstrip("/")
        secured = self.engine.inference.guard is not None
        return _json(openapi(self.engine.catalog, url, secured=secured))

    async def _exposition(self, request: Request) -> Response:
        content_type, body = await self._metrics(request.headers.get("accept", ""))
        return Response(body, headers={"content-type": content_type.decode()})

    async def _server(self, _: Request) -> Response:
        return _json(metadata.server_metadata())

    async def _live(self, _: Request) -> Response:
        return _json({"live": True})

    async def _ready(self, _: Request) -> Response:
        ready = self.engine.catalog.ready
        return _json({"ready": ready}, 200 if ready else 503)

    async def _models(self, _: Request) -> Response:
        return _json(metadata.model_index(self.engine.catalog))

    async def _index(self, request: Request) -> Response:
        try:
            content = orjson.loads(await request.body() or b"{}")
            ready = content.get("ready", False) is True
        except (ValueError, AttributeError):
            raise InvalidRequest("the body is not a JSON object") from None
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


def _raw_path(scope: Scope) -> bytes:
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    return path.removeprefix(scope.get("root_path", "").encode())


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


async def _api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return _error_response(error)


def _error_response(error: ApiError) -> Response:
    lines, body = error_answer(error)
    response = Response(body, error.status)
    response.raw_headers.extend(header_pairs(lines))
    return response


async def _http_error(request: Request, error: Exception) -> Response:
    """Starlette's own: no such route, or not with this method."""
    assert isinstance(error, HTTPException)
    if error.status_code == MethodNotAllowed.status:
        allow = (error.headers or {}).get("Allow", "GET")
        message = f"{request.method} {request.url.path} is not possible; use {allow}"
        return await _api_error(request, MethodNotAllowed(message, allow=allow))
    return await _api_error(request, NotFound(f"no route {request.url.path}; see /docs"))


async def _bug(request: Request, error: Exception) -> Response:
    LOG.error("unexpected error in %s %s", request.method, request.url.path, exc_info=error)
    message = f"internal error ({type(error).__name__}); see the server's log"
    return await _api_error(request, InternalError(message))


async def _with_query(request: Request) -> Response:
    """Reached only by paths that `match_infer` does not take, such as one with a trailing slash."""
    raise NotFound(f"no route {request.url.path}; see /docs")
