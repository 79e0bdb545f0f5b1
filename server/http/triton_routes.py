"""The routes of Triton's extensions: configuration, statistics, settings, shared memory.

What is not had is answered by name with 501, so that a client does not take the path for a mistake.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import orjson
from starlette.responses import Response
from starlette.routing import Route

from penstock.server.errors import InvalidRequest, NotSupported
from penstock.server.ports.bodies import read_body
from penstock.server.ports.media_types import JSON
from penstock.server.serving.configuration import model_configuration
from penstock.server.serving.settings import log_settings, trace_settings
from penstock.server.serving.statistics import model_statistics

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from penstock.monitoring.metrics.merge import Merged
    from penstock.server.serving.catalog import Catalog

_MAX_BODY_BYTES: Final = 64 * 1024
_MODEL: Final = "/v2/models/{model}"
_VERSION: Final = _MODEL + "/versions/{version}"


class TritonRoutes:
    """The routes, and what they answer.

    Args:
        catalog: The served models; called once they are there.
        figures: Reads the counters of all processes, on a thread.
        log_level: Least severe messages in the log.
    """

    def __init__(
        self, catalog: Callable[[], Catalog], figures: Callable[[], Merged], log_level: str
    ) -> None:
        self._catalog = catalog
        self._figures = figures
        self._log_level = log_level

    def routes(self) -> list[Route]:
        """All routes; that of all models comes before those of one."""
        both = ["GET", "POST"]
        return [
            Route("/v2/models/stats", self._statistics),
            *[Route(f"{path}/stats", self._statistics) for path in (_MODEL, _VERSION)],
            *[Route(f"{path}/config", self._configuration) for path in (_MODEL, _VERSION)],
            Route("/v2/trace/setting", self._trace, methods=both),
            Route(f"{_MODEL}/trace/setting", self._trace, methods=both),
            Route("/v2/logging", self._logging, methods=both),
            *[
                Route(f"/v2/{kind}sharedmemory/{{rest:path}}", _shared_memory, methods=both)
                for kind in ("system", "cuda")
            ],
            *[
                Route(f"/v2/repository/models/{{model}}/{verb}", _repository, methods=["POST"])
                for verb in ("load", "unload")
            ],
        ]

    async def _statistics(self, request: Request) -> Response:
        given = request.path_params
        figures = await asyncio.to_thread(self._figures)
        found = model_statistics(self._catalog(), figures, given.get("model"), given.get("version"))
        return _json({"model_stats": found})

    async def _configuration(self, request: Request) -> Response:
        given, catalog = request.path_params, self._catalog()
        servable = catalog.find(given["model"], given.get("version"))
        versions = catalog.models[servable.name].versions
        return _json(model_configuration(servable, versions))

    async def _trace(self, request: Request) -> Response:
        if (model := request.path_params.get("model")) is not None:
            self._catalog().find(model)
        await _check_unchanged(request, "trace settings")
        return _json(trace_settings())

    async def _logging(self, request: Request) -> Response:
        await _check_unchanged(request, "log settings")
        return _json(log_settings(self._log_level))


async def _check_unchanged(request: Request, what: str) -> None:
    """Refuse a request that changes settings."""
    if request.method != "POST":
        return
    body = await read_body(request, _MAX_BODY_BYTES)
    try:
        given = orjson.loads(body or b"{}")
    except ValueError:
        raise InvalidRequest("the body is not JSON") from None
    if given != {}:
        raise NotSupported(f"{what} are read only here; they are options of the server")


async def _shared_memory(_: Request) -> Response:
    raise NotSupported("there is no shared memory; send and ask for tensors as binary data")


async def _repository(_: Request) -> Response:
    raise NotSupported("models are loaded and unloaded on the admin port, not here")


def _json(content: Any) -> Response:
    return Response(orjson.dumps(content), media_type=JSON)
