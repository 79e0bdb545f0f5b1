"""Answers of the ASGI app to requests that ended with an error."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from starlette.exceptions import HTTPException
from starlette.responses import Response

from penstock.server.errors import ApiError, InternalError
from penstock.server.inference.error_answers import error_answer
from penstock.server.ports.routing_errors import routing_error

from .asgi_writer import header_pairs

if TYPE_CHECKING:
    from starlette.requests import Request

LOG = logging.getLogger("penstock.http")


async def _api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error_response(error)


def error_response(error: ApiError) -> Response:
    """The answer to a request that ended with this error."""
    lines, body = error_answer(error)
    response = Response(body, error.status)
    response.raw_headers.extend(header_pairs(lines))
    return response


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_response(routing_error(request, error))


async def _bug(request: Request, error: Exception) -> Response:
    LOG.error("unexpected error in %s %s", request.method, request.url.path, exc_info=error)
    message = f"internal error ({type(error).__name__}); see the server's log"
    return await _api_error(request, InternalError(message))


#: For Starlette: what makes the answer of each kind of error.
ERROR_HANDLERS: Final[dict[Any, Any]] = {
    ApiError: _api_error,
    HTTPException: _http_error,
    Exception: _bug,
}
