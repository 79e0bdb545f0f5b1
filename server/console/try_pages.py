"""The page on which a visitor asks a model, and what its script asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from penstock.server.auth.tokens import PREDICT
from penstock.server.page.page import Page
from penstock.server.ports.bodies import read_body
from penstock.server.ports.media_types import JSON, check_media_type

from .routes import Routes

if TYPE_CHECKING:
    from starlette.requests import Request

    from .visit import Visit

#: Of a request; the endpoint takes no larger one either.
_MAX_BODY_BYTES: Final = 8 << 20
_ASKED: Final = ("rows", "version")


def try_routes() -> Routes:
    """The page, the description that its form is made from, and the prediction."""
    model = "/models/{model}"
    return Routes(
        pages={f"{model}/try": _page, f"{model}/openapi.json": _describe},
        calls={f"{model}/predict": _predict},
    )


async def _page(request: Request, visit: Visit) -> Response:
    name = request.path_params["model"]
    await visit.api.get("admin", "models", name, "openapi.json")  # says what is wrong, if anything
    page = Page(f"Try {name}", "each request takes the path of all others, and is logged like them")
    if visit.may(PREDICT):
        return visit.answer(page, template="try.html", model=name)
    page.section("Log in").callout("This needs a log-in with a token of the scope predict.")
    return visit.answer(page, model=name)


async def _describe(request: Request, visit: Visit) -> Response:
    path = "admin", "models", request.path_params["model"], "openapi.json"
    return Response(await visit.api.fetch("GET", path), media_type=JSON)


async def _predict(request: Request, visit: Visit) -> Response:
    check_media_type(request.headers.get("content-type"), (JSON,))
    path = "admin", "models", request.path_params["model"], "predict"
    query = {key: one for key in _ASKED if (one := request.query_params.get(key)) is not None}
    body = await read_body(request, _MAX_BODY_BYTES)
    answer = await visit.api.exchange("POST", path, body, query, JSON)
    headers = {name: one for name, one in answer.headers.items() if name != "content-length"}
    return Response(answer.body, answer.status, headers)
